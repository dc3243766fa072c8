using System.Buffers.Binary;
using Cnvm.Hypervisor.State.Format;
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

    /// <summary>Questions for pages are no answer: a target that never stops asking for one is given up like one that says nothing.</summary>
    [SkippableFact]
    public void A_flood_of_questions_before_the_target_is_ready_does_not_keep_the_guest_stopped()
    {
        Skip.If(Userfaultfd.WhyNot() is not null, Userfaultfd.WhyNot());
        using var move = new Move { Postcopy = AfterTimeout, Patience = TimeSpan.FromSeconds(2) };
        Flood(move, FrameType.State, () =>
        {
            Assert.True(move.WaitForSource(Soon), $"the source hangs: {move.SourceProgress.Info()}");
            MigrationInfo end = move.SourceProgress.Info();
            Assert.Equal((MigrationPhase.Failed, GuestPlace.Here), (end.Phase, end.Guest));
            Assert.Contains("no Ready for 2 s", end.Error, StringComparison.Ordinal);
            Assert.Equal(FakeDeparture.Side, move.World.Running);
        });
    }

    [SkippableFact]
    public void A_flood_of_questions_behind_the_order_to_run_does_not_keep_the_vmm_from_ending()
    {
        Skip.If(Userfaultfd.WhyNot() is not null, Userfaultfd.WhyNot());
        using var move = new Move { Postcopy = AfterTimeout, Patience = Long };
        Flood(move, FrameType.Run, () =>
        {
            Assert.True(SpinWait.SpinUntil(() => move.SourceProgress.Info().PostcopyFaults > 1000, Soon));
            move.SourceStop.End("the VMM ends");
            Assert.True(move.WaitForSource(Soon), $"the source hangs: {move.SourceProgress.Info()}");
            Assert.Equal((MigrationPhase.Unknown, GuestPlace.Unknown), (move.SourceProgress.Phase, move.SourceProgress.Info().Guest));
            Assert.Equal("", move.World.Running);
        });
    }

    /// <summary>A target that answers as it should up to a message, and asks for one page for ever behind that.</summary>
    private static void Flood(Move move, FrameType from, Action whileItDoes)
    {
        using StreamListener listener = StreamListener.Bind(Move.Endpoint(move.ProxyPath));
        MoveTests.Fill(move.Departure);
        move.Limits.TimeoutS = 0;
        move.StartSource(move.ProxyPath);
        using var link = new RawLink(listener.Accept(30_000)!);
        var target = new Thread(() => Converse(link, from)) { IsBackground = true };
        target.Start();
        whileItDoes();
        link.Abort();
        Assert.True(target.Join(Soon));
    }

    private static void Converse(RawLink link, FrameType from)
    {
        link.HearMagic();
        link.SayMagic();
        byte[] page = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(page, 0x2000);
        while (link.Hear())
        {
            (FrameType type, byte[] payload) = link.Heard;
            while (type == from && !link.IsGone)
            {
                link.Say(FrameType.Want, page);
            }

            switch (type)
            {
                case FrameType.Hello:
                    ulong features = StateReader.Read<MigrationHello>(payload, MigrationHello.Describe).Features;
                    link.Say(FrameType.Welcome, StateWriter.Write(new MigrationWelcome(MigrationWire.Version, features, "hostile"), MigrationWelcome.Describe));
                    break;
                case FrameType.Offer:
                    link.Say(FrameType.Accept);
                    break;
                case FrameType.Round:
                    link.Say(FrameType.RoundDone, payload);
                    break;
                case FrameType.State:
                    link.Say(FrameType.Ready);
                    break;
            }
        }
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
