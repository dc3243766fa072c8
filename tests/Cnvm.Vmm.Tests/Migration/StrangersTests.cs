using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Those who connect to a target's port and say nothing, for as long as it lets them, and more of them than it hears at once.</summary>
public sealed class StrangersTests
{
    private const int Many = 20;
    private const int AfterTimeout = (int)PostcopyUse.AfterTimeout;

    [Fact]
    public void They_do_not_keep_a_source_waiting()
    {
        using var move = new Move { Patience = TimeSpan.FromSeconds(100) };
        MoveTests.Fill(move.Departure);
        move.StartTarget();
        List<SocketStream> silent = Knock(move);
        move.StartSource();
        move.WaitForEnd();
        Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
        Assert.InRange(move.SourceProgress.Info().ElapsedMs, 0ul, 50_000ul);
        move.AssertMemoryArrived();
        silent.ForEach(s => s.Dispose());
    }

    [Fact]
    public void A_wait_that_is_given_up_ends_theirs()
    {
        using var move = new Move { Patience = TimeSpan.FromSeconds(100) };
        move.StartTarget();
        List<SocketStream> silent = Knock(move);
        long started = Environment.TickCount64;
        Assert.True(move.Target.TryCancel("enough"));
        move.WaitForEnd();
        Assert.InRange(Environment.TickCount64 - started, 0, 50_000);
        Assert.Equal(MigrationPhase.Cancelled, move.TargetProgress.Phase);
        silent.ForEach(s => s.Dispose());
    }

    [Fact]
    public void They_do_not_keep_a_source_from_asking()
    {
        using var move = new Move { Patience = TimeSpan.FromSeconds(100) };
        MoveTests.Fill(move.Departure);
        List<SocketStream> silent = [];
        move.Arrival.OnRun = () =>
        {
            silent = Knock(move);
            move.SourceLink!.Abort();
        };
        move.Run();
        Assert.Equal((MigrationPhase.Completed, FakeArrival.Side), (move.SourceProgress.Phase, move.World.Running));
        Assert.InRange(move.SourceProgress.Info().ElapsedMs, 0ul, 50_000ul);
        silent.ForEach(s => s.Dispose());
    }

    [SkippableFact]
    public void They_do_not_keep_a_source_from_bringing_what_is_missing()
    {
        Skip.If(Userfaultfd.WhyNot() is not null, Userfaultfd.WhyNot());
        using var move = new Move { Postcopy = AfterTimeout, Patience = TimeSpan.FromSeconds(100) };
        MoveTests.Fill(move.Departure);
        move.Limits.TimeoutS = 0;

        // Nothing goes in the background before the connection is lost.
        move.Arrival.OnRestore = () => move.Limits.BandwidthBytesPerS = 1;
        move.StartTarget();
        move.StartSource();
        Assert.True(SpinWait.SpinUntil(() => move.SourceProgress.Phase == MigrationPhase.Postcopy, TimeSpan.FromSeconds(60)));
        List<SocketStream> silent = Knock(move);
        move.Limits.BandwidthBytesPerS = 0;
        move.SourceLink!.Abort();
        move.WaitForEnd();
        Assert.Equal((MigrationPhase.Completed, MigrationPhase.Completed), (move.SourceProgress.Phase, move.TargetProgress.Phase));
        Assert.InRange(move.SourceProgress.Info().ElapsedMs, 0ul, 80_000ul);
        move.AssertMemoryArrived();
        silent.ForEach(s => s.Dispose());
    }

    private static List<SocketStream> Knock(Move move) =>
        [.. Enumerable.Range(0, Many).Select(_ => SocketStream.Connect(Move.Endpoint(move.TargetPath), 10_000, static () => false))];
}
