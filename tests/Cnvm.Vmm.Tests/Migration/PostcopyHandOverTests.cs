using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>The connection is lost between the order to run and the target's word, while pages are missing there.</summary>
public sealed class PostcopyHandOverTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    /// <summary>Pages are served whatever somebody wishes, and Complete is no word that the guest runs.</summary>
    [SkippableTheory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void A_target_that_is_just_starting_gets_its_pages(bool isCancelled, bool fails)
    {
        using Move move = Begin();
        move.Arrival.OnRun = () =>
        {
            Assert.True(move.Target.IsIncomplete);
            move.OnConnected = () => _ = isCancelled && Ask(move);
            move.SourceLink!.Abort();

            // The target's last page is here before the guest runs, or does not.
            Assert.True(SpinWait.SpinUntil(() => move.Arrival.Missing is null, Long));
        };
        move.Arrival.RunFailure = fails ? new MigrationException("a device does not start") : null;
        move.StartTarget();
        move.StartSource();
        move.WaitForEnd();
        if (fails)
        {
            Assert.Equal((MigrationPhase.Failed, GuestPlace.Here), (move.SourceProgress.Phase, move.SourceProgress.Info().Guest));
            Assert.Equal((MigrationPhase.Failed, FakeDeparture.Side), (move.TargetProgress.Phase, move.World.Running));
            Assert.True(move.Arrival.IsDiscarded && !move.Target.IsIncomplete);
        }
        else
        {
            Assert.Equal((MigrationPhase.Completed, MigrationPhase.Completed), (move.SourceProgress.Phase, move.TargetProgress.Phase));
            Assert.Equal(FakeArrival.Side, move.World.Running);
            move.AssertMemoryArrived();
        }
    }

    /// <summary>Either side says why, whatever its threads were doing.</summary>
    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_target_that_cannot_take_the_guest_says_why(bool isOrdered)
    {
        using Move move = Begin();
        var why = new MigrationException("a device is none that this host has");
        move.Arrival.LooksAt = isOrdered ? 0x100_4000 : null;
        move.Arrival.RestoreFailure = isOrdered ? null : why;
        move.Arrival.RunFailure = isOrdered ? why : null;
        move.Run();
        MigrationInfo end = move.SourceProgress.Info();
        Assert.Equal((MigrationPhase.Failed, GuestPlace.Here, FakeDeparture.Side), (end.Phase, end.Guest, move.World.Running));
        Assert.Equal($"the target refuses: {why.Message}", end.Error);
        Assert.Equal((MigrationPhase.Failed, why.Message), (move.TargetProgress.Phase, move.TargetProgress.Info().Error));
        Assert.True(move.Arrival.IsDiscarded && !move.Target.IsIncomplete);
    }

    [SkippableFact]
    public void Who_is_not_answered_asks_without_an_end_and_again_after_a_cancellation()
    {
        using Move move = Begin();
        string reachable = move.TargetPath;
        move.Arrival.OnRun = () =>
        {
            move.SourceGoesTo = move.ProxyPath;
            move.SourceLink!.Abort();
        };
        move.StartTarget();
        move.StartSource();
        Assert.True(SpinWait.SpinUntil(() => move.Source!.IsAskingOn && move.SourceProgress.Info().Error is not null, Long));

        // Long past the time that a migration without missing pages asks.
        Assert.False(SpinWait.SpinUntil(() => !move.Source!.IsAskingOn, TimeSpan.FromSeconds(1)));
        move.SourceStop.Ask("it was cancelled");
        Assert.True(move.WaitForSource());
        Assert.Equal((MigrationPhase.Unknown, GuestPlace.Unknown), (move.SourceProgress.Phase, move.SourceProgress.Info().Guest));
        Assert.Contains("resume asks again", move.SourceProgress.Info().Error, StringComparison.Ordinal);
        Assert.True(move.Source!.KeepsPages && move.Target.IsIncomplete && move.Departure.IsStopped);

        move.SourceStop.Withdraw();
        move.Source.ContinueAt(_ => MigrationTransport.Plain.Connect(Move.Endpoint(reachable), static () => false));
        move.Source.AskAgain();
        move.WaitForEnd();
        Assert.Equal((MigrationPhase.Completed, MigrationPhase.Completed), (move.SourceProgress.Phase, move.TargetProgress.Phase));
        Assert.Null(move.SourceProgress.Info().Error);
        move.AssertMemoryArrived();
    }

    /// <summary>A device that has started waits for a page, the next one does not start, and the source is gone.</summary>
    [SkippableFact]
    public void A_machine_whose_devices_wait_for_pages_is_taken_apart_without_them()
    {
        using Move move = Begin();
        IOException? told = null;
        Thread? device = null;
        move.Arrival.OnRun = () =>
        {
            move.SourceStop.End("the source ends");
            move.SourceLink!.Abort();
            device = new Thread(() => told = Assert.Throws<IOException>(() => { _ = move.Arrival.Memory.GetSpan(0x10F_2000, 1)[0]; }));
            device.Start();
            Assert.True(SpinWait.SpinUntil(() => move.Arrival.Missing!.Wanted.Contains(0x10F_2000UL), Long));
        };
        move.Arrival.RunFailure = new MigrationException("the next device does not start");
        move.Arrival.OnDiscard = () => Assert.True(device!.Join(Long));
        move.StartTarget();
        move.StartSource();
        move.WaitForEnd();
        Assert.True(move.Arrival.IsDiscarded);
        Assert.Contains("the next device does not start", told!.Message, StringComparison.Ordinal);
        Assert.Equal("", move.World.Running);
    }

    /// <summary>Memory may come late, disks may not: the guest runs here while they are sent.</summary>
    [SkippableFact]
    public void Past_the_time_disks_are_sent_before_the_guest_stops()
    {
        using Move move = Begin();
        move.Limits.BandwidthBytesPerS = 0;
        move.Limits.DowntimeMs = 1;
        var disk = new FakeDisk("a", 8 << 20);
        new Random(5).NextBytes(disk.Contents);
        int readWhileStopped = 0;
        disk.OnRead = _ => readWhileStopped += move.Departure.IsStopped ? 1 : 0;
        move.BringDisks(disk);
        move.Run();
        Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
        Assert.Contains("target migration-postcopy-started", move.PostcopyEvents);
        Assert.Equal(0, readWhileStopped);
        move.AssertMemoryArrived();
    }

    /// <summary>Missing pages from the first message on; none comes before the target runs the guest.</summary>
    private static Move Begin()
    {
        Skip.If(Userfaultfd.WhyNot() is not null, Userfaultfd.WhyNot());
        var move = new Move { Postcopy = (int)PostcopyUse.AfterTimeout, AskingTime = TimeSpan.FromMilliseconds(1) };
        MoveTests.Fill(move.Departure);
        move.Limits.TimeoutS = 0;
        return move;
    }

    private static bool Ask(Move move)
    {
        move.SourceStop.Ask("it was cancelled, too late");
        return true;
    }
}
