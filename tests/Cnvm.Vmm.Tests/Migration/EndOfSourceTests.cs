using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A source whose VMM ends, or whose target never comes to an end, whatever it waits for just then.</summary>
public sealed class EndOfSourceTests
{
    private const int AfterTimeout = (int)PostcopyUse.AfterTimeout;
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(100);

    /// <summary>The target's host is gone behind the order to run, and a connection to it pends.</summary>
    [SkippableTheory]
    [InlineData(0)]
    [InlineData(AfterTimeout)]
    public void Ended_while_it_connects_to_ask_it_keeps_the_guest_paused(int postcopy)
    {
        Skip.If(postcopy != 0 && Userfaultfd.WhyNot() is not null, Userfaultfd.WhyNot());
        using var move = new Move { Postcopy = postcopy };
        using StreamListener full = Fill(move.ProxyPath, out List<UnixStream> waiting);
        MoveTests.Fill(move.Departure);
        move.Limits.TimeoutS = postcopy == 0 ? 3600UL : 0;
        move.Arrival.OnRun = () =>
        {
            move.SourceGoesTo = move.ProxyPath;
            move.SourceLink!.Abort();
        };
        move.StartTarget();
        move.StartSource();
        Await(move, MigrationPhase.Asking);
        move.SourceStop.End("the VMM ends");
        Assert.True(move.WaitForSource(Soon), $"the source hangs: {move.SourceProgress.Info()}");
        MigrationInfo end = move.SourceProgress.Info();
        Assert.Equal((MigrationPhase.Unknown, GuestPlace.Unknown, true), (end.Phase, end.Guest, move.Departure.IsStopped));
        Assert.Contains("the VMM ends", end.Error, StringComparison.Ordinal);
        Assert.Equal(FakeArrival.Side, move.World.Running);
        waiting.ForEach(w => w.Dispose());
    }

    /// <summary>The guest is given up at a source whose target is frozen: it accepts nobody any more, or says nothing.</summary>
    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void Ended_while_it_connects_to_a_frozen_target_it_ends_at_once(bool isFull)
    {
        Skip.If(Userfaultfd.WhyNot() is not null, Userfaultfd.WhyNot());
        using var move = new Move { Postcopy = AfterTimeout, Patience = Long };
        MoveTests.Fill(move.Departure);
        move.Limits.TimeoutS = 0;
        List<UnixStream> waiting = [];
        using StreamListener frozen = isFull ? Fill(move.ProxyPath, out waiting) : StreamListener.Bind(Move.Endpoint(move.ProxyPath));
        move.Arrival.OnRestore = () => move.Limits.BandwidthBytesPerS = 1;
        move.StartTarget();
        move.StartSource();
        Await(move, MigrationPhase.Postcopy);
        using var connects = new ManualResetEventSlim(false);
        move.Source!.ContinueAt(givenUp =>
        {
            connects.Set();
            return MigrationTransport.Plain.Connect(Move.Endpoint(move.ProxyPath), givenUp);
        });
        move.SourceLink!.Abort();
        Assert.True(connects.Wait(Soon));
        Assert.True(isFull || frozen.Accept(30_000) is not null);
        move.SourceStop.End("the guest was given up");
        Assert.True(move.WaitForSource(TimeSpan.FromSeconds(5)), $"the source hangs: {move.SourceProgress.Info()}");
        Assert.Equal((MigrationPhase.PostcopyLost, GuestPlace.There), (move.SourceProgress.Phase, move.SourceProgress.Info().Guest));
        Assert.Equal(FakeArrival.Side, move.World.Running);
        waiting.ForEach(w => w.Dispose());
    }

    /// <summary>Somebody who listens and accepts nobody, with as many waiting as there is room for.</summary>
    private static StreamListener Fill(string path, out List<UnixStream> waiting)
    {
        StreamListener listener = StreamListener.Bind(Move.Endpoint(path));
        waiting = [];
        while (UnixStream.TryConnect(path) is { } stream)
        {
            waiting.Add(stream);
        }

        return listener;
    }

    private static void Await(Move move, MigrationPhase phase) =>
        Assert.True(SpinWait.SpinUntil(() => move.SourceProgress.Phase == phase, Soon), $"source {move.SourceProgress.Info()}, target {move.TargetProgress.Info()}");
}
