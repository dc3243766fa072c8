using Cnvm.Tests;
using Cnvm.Vmm.Migration;
using Xunit.Abstractions;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>
/// Every message of the protocol is cut off, damaged, delayed, doubled, reordered and lost, and afterwards either side is gone: the guest
/// is runnable at exactly one place with all its memory and disks, no other file is left, and nobody hangs.
/// </summary>
public sealed class FaultTests(ITestOutputHelper output)
{
    private static readonly FrameType[] SourceSays =
    [
        FrameType.Hello, FrameType.Offer, FrameType.DiskData, FrameType.DiskZeros, FrameType.DiskData, FrameType.Pages, FrameType.Pages, FrameType.Zeros,
        FrameType.Round, FrameType.DiskZeros, FrameType.DiskData, FrameType.DiskZeros, FrameType.Pages, FrameType.Round, FrameType.DiskZeros,
        FrameType.DiskData, FrameType.DiskZeros, FrameType.DiskData, FrameType.Pages, FrameType.Round, FrameType.State, FrameType.Run, FrameType.Bye,
    ];

    private static readonly FrameType[] TargetSays =
    [
        FrameType.Welcome, FrameType.Accept, FrameType.RoundDone, FrameType.RoundDone, FrameType.RoundDone, FrameType.Ready, FrameType.Running,
    ];

    private static ResultTable Table { get; } = ResultTable.Of("faults", "message", Enum.GetNames<Fault>());

    private static ResultTable TargetTable { get; } = ResultTable.Of("faults-target", "what fails at the target", "the guest");

    private static bool IsWhole => Environment.GetEnvironmentVariable("CNVM_SOAK") == "1";

    [Fact]
    public void These_are_the_messages()
    {
        using var move = new Move();
        using var between = new Disturber(move.ProxyPath, move.TargetPath);
        RunThrough(move);
        Assert.Equal(SourceSays, between.FromSource);
        Assert.Equal(TargetSays, between.FromTarget);
        Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
    }

    [Theory]
    [InlineData(Fault.CutBefore)]
    [InlineData(Fault.CutInside)]
    [InlineData(Fault.CutAfter)]
    [InlineData(Fault.CorruptHeader)]
    [InlineData(Fault.CorruptEnd)]
    [InlineData(Fault.Delay)]
    [InlineData(Fault.Slow)]
    [InlineData(Fault.Duplicate)]
    [InlineData(Fault.Reorder)]
    [InlineData(Fault.Drop)]
    public void One_place_has_the_guest_whatever_happens_to_a_message(Fault fault)
    {
        var moves = new List<(string Name, bool FromSource, int Index)>();
        moves.AddRange(SourceSays.Select((type, i) => ($"source's {i} {type}", true, i)));
        moves.AddRange(TargetSays.Select((type, i) => ($"target's {i} {type}", false, i)));
        if (!IsWhole && fault is Fault.Drop or Fault.Reorder)
        {
            // Each is missed only after a while: the telling ones are enough.
            FrameType[] telling = [FrameType.Offer, FrameType.DiskZeros, FrameType.Zeros, FrameType.State, FrameType.Run, FrameType.Ready, FrameType.Running];
            moves.RemoveAll(m => !telling.Any(t => m.Name.EndsWith($" {t}", StringComparison.Ordinal)));
        }

        Parallel.ForEach(moves, new ParallelOptions { MaxDegreeOfParallelism = 6 }, m =>
        {
            // Lost without a trace, a message is missed after the time that a peer may be silent.
            using var move = new Move { Patience = TimeSpan.FromSeconds(fault is Fault.Drop or Fault.Reorder ? 1 : 20) };
            using var between = new Disturber(move.ProxyPath, move.TargetPath) { Plan = (m.FromSource, m.Index, fault) };
            RunThrough(move);
            output.WriteLine($"{fault,-13} {m.Name,-20} {Outcome(move)}");
            AssertOnePlace(move, $"{fault} of {m.Name}");
            Table.Set(
                moves.IndexOf(m), m.Name, $"{fault}", move.SourceProgress.Phase == MigrationPhase.Completed ? "arrives" : move.Departure.WasStopped ? "goes on" : "runs on");

            // The network is well again, so the source has found out.
            Assert.NotEqual(MigrationPhase.Unknown, move.SourceProgress.Phase);
            if (fault is Fault.Delay or Fault.Slow)
            {
                Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
            }
        });
    }

    /// <summary>Whichever thing that is done to a disk at the target finds the host's file system full.</summary>
    [Fact]
    public void Wherever_the_targets_disk_is_full_the_guest_goes_on_at_the_source()
    {
        int failing = 0;
        for (bool isFull = true; isFull; failing++)
        {
            using var move = new Move();
            int calls = 0;
            string failed = "";
            move.Arrival.OnDisk = done =>
            {
                if (calls++ == failing)
                {
                    failed = done;
                    throw new MigrationException($"disk _disk0: the file cannot be {done}: No space left on device");
                }
            };
            using var between = new Disturber(move.ProxyPath, move.TargetPath);
            RunThrough(move);
            isFull = failed.Length != 0;
            string what = $"call {failing}, {failed}: {Outcome(move)}";
            output.WriteLine(what);
            AssertOnePlace(move, what);
            Assert.Equal(isFull ? MigrationPhase.Failed : MigrationPhase.Completed, move.SourceProgress.Phase);
            if (isFull)
            {
                Assert.Contains("No space left on device", move.SourceProgress.Info().Error, StringComparison.Ordinal);
                TargetTable.Set(failing, $"its disk is full when it is {failed}, call {failing + 1}", "the guest", move.Departure.WasStopped ? "goes on" : "runs on");
            }
        }

        // Each message of disks but the first holes, and each round's end.
        Assert.InRange(failing, 8, 40);
    }

    /// <summary>Whenever it reads, the target's program has no memory left; and with every step that it takes.</summary>
    [Fact]
    public void Wherever_the_target_runs_out_of_memory_one_place_has_the_guest()
    {
        int failing = 0;
        for (bool isStarved = true; isStarved; failing++)
        {
            StarvedStream? starved = null;
            using var move = new Move { TargetReads = s => starved is null ? starved = new StarvedStream(s, failing) : s };
            using var between = new Disturber(move.ProxyPath, move.TargetPath);
            RunThrough(move);
            isStarved = starved!.HasStarved;
            string what = $"read {failing}: {Outcome(move)}";
            output.WriteLine(what);
            AssertOnePlace(move, what);
            Assert.True(isStarved || move.SourceProgress.Phase == MigrationPhase.Completed, what);
            if (isStarved)
            {
                TargetTable.Set(
                    2000 + failing,
                    $"it has no memory at read {failing + 1}",
                    "the guest",
                    move.SourceProgress.Phase == MigrationPhase.Completed ? "arrives" : move.Departure.WasStopped ? "goes on" : "runs on");
            }
        }

        Assert.InRange(failing, 6, 200);
        foreach (string step in (string[])["prepare", "restore", "run"])
        {
            using var move = new Move();
            move.Arrival.PrepareFailure = step == "prepare" ? new OutOfMemoryException() : null;
            move.Arrival.RestoreFailure = step == "restore" ? new OutOfMemoryException() : null;
            move.Arrival.RunFailure = step == "run" ? new OutOfMemoryException() : null;
            using var between = new Disturber(move.ProxyPath, move.TargetPath);
            RunThrough(move);
            AssertOnePlace(move, step);
            Assert.Equal((MigrationPhase.Failed, GuestPlace.Here), (move.SourceProgress.Phase, move.SourceProgress.Info().Guest));
            TargetTable.Set(3000, $"it has no memory to {step}", "the guest", move.Departure.WasStopped ? "goes on" : "runs on");
        }
    }

    /// <summary>The same of a further connection, which is read on a thread of its own: at first by who hears it.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Where_a_further_connection_runs_out_of_memory_the_guest_goes_on_at_the_source(int reads)
    {
        int connections = 0;
        StarvedStream? starved = null;
        using var move = new Move
        {
            Connections = 3, TargetReads = s => Interlocked.Increment(ref connections) == 2 ? starved = new StarvedStream(s, reads) : s,
        };
        using var between = new Disturber(move.ProxyPath, move.TargetPath);
        RunThrough(move);
        string what = $"read {reads} of the second connection: {Outcome(move)}";
        output.WriteLine(what);
        AssertOnePlace(move, what);
        Assert.True(starved is { HasStarved: true } && move.SourceProgress.Phase == MigrationPhase.Failed, what);
    }

    /// <summary>Who is to join, the answer, and the first that comes through it.</summary>
    [Theory]
    [InlineData(Fault.CutBefore)]
    [InlineData(Fault.CutInside)]
    [InlineData(Fault.CutAfter)]
    [InlineData(Fault.CorruptHeader)]
    [InlineData(Fault.CorruptEnd)]
    [InlineData(Fault.Delay)]
    [InlineData(Fault.Slow)]
    [InlineData(Fault.Duplicate)]
    [InlineData(Fault.Reorder)]
    [InlineData(Fault.Drop)]
    public void One_place_has_the_guest_whatever_happens_to_a_further_connection(Fault fault)
    {
        (bool FromSource, int Index)[] messages = [(true, 0), (true, 1), (true, 2), (false, 0)];
        Parallel.ForEach(messages, new ParallelOptions { MaxDegreeOfParallelism = 4 }, m =>
        {
            using var move = new Move { Connections = 3, Patience = TimeSpan.FromSeconds(fault is Fault.Drop or Fault.Reorder ? 2 : 20) };
            using var between = new Disturber(move.ProxyPath, move.TargetPath) { NextPlan = (m.FromSource, m.Index, fault) };
            RunThrough(move);
            string what = $"{fault} of the second connection's {(m.FromSource ? "source" : "target")} {m.Index}: {Outcome(move)}";
            output.WriteLine(what);
            AssertOnePlace(move, what);
            Assert.NotEqual(MigrationPhase.Unknown, move.SourceProgress.Phase);
            Assert.True(fault is not (Fault.Delay or Fault.Slow) || move.SourceProgress.Phase == MigrationPhase.Completed, what);
        });
    }

    /// <summary>A guest's clocks go on by the time that its state is on the way; one that was paused keeps its time.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_time_that_the_state_takes_is_not_lost_to_the_guest(bool isPaused)
    {
        using var move = new Move();
        move.Departure.Dispose();
        move.Departure = new FakeDeparture(move.World) { IsPaused = isPaused };
        MoveTests.Fill(move.Departure);
        FrameType[] says =
        [
            FrameType.Hello, FrameType.Offer, FrameType.Pages, FrameType.Pages, FrameType.Zeros, FrameType.Round,
            .. isPaused ? (FrameType[])[] : [FrameType.Round, FrameType.Round], FrameType.State, FrameType.Run, FrameType.Bye,
        ];
        using var between = new Disturber(move.ProxyPath, move.TargetPath) { Plan = (true, Array.IndexOf(says, FrameType.State), Fault.Slow) };
        move.StartTarget();
        move.StartSource(move.ProxyPath);
        move.WaitForEnd();
        Assert.Equal(says, between.FromSource);
        Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
        if (isPaused)
        {
            Assert.Equal(TimeSpan.Zero, move.Arrival.Stood);
        }
        else
        {
            // The target may have been late for the first half.
            Assert.InRange(move.Arrival.Stood, Disturber.Lateness / 2, TimeSpan.FromSeconds(60));
        }
    }

    /// <summary>The connection is lost for good: as if one of the two hosts had died.</summary>
    [Theory]
    [InlineData(Fault.CutBefore)]
    [InlineData(Fault.CutAfter)]
    public void Without_a_way_to_ask_the_source_never_runs_what_may_run_there(Fault fault)
    {
        for (int i = 0; i < SourceSays.Length + TargetSays.Length; i++)
        {
            bool fromSource = i < SourceSays.Length;
            int index = fromSource ? i : i - SourceSays.Length;
            FrameType type = fromSource ? SourceSays[index] : TargetSays[index];
            using var move = new Move { Patience = TimeSpan.FromSeconds(5), AskingTime = TimeSpan.Zero };
            using var between = new Disturber(move.ProxyPath, move.TargetPath) { Plan = (fromSource, index, fault), StaysBroken = true };
            RunThrough(move);
            output.WriteLine($"{fault,-13} {type,-10} {Outcome(move)}");
            AssertOnePlace(move, $"{fault} of {type}");
            bool isUncertain = move.SourceProgress.Phase == MigrationPhase.Unknown;
            bool must = type == FrameType.Run || (type == FrameType.Running && fault == Fault.CutBefore);

            // The order may be on its way into a connection that has just been lost.
            bool may = type == FrameType.Ready && fault == Fault.CutAfter;
            Assert.True(isUncertain == must || may, $"{fault} of {type}: {Outcome(move)}");
        }
    }

    private static void RunThrough(Move move)
    {
        MoveTests.Fill(move.Departure);
        move.Limits.DowntimeMs = 10_000;
        var disk = new FakeDisk("_disk0", 256 << 10);
        new Random(2).NextBytes(disk.Contents.AsSpan(0, 64 << 10));
        new Random(3).NextBytes(disk.Contents.AsSpan(192 << 10));
        move.BringDisks(disk);
        move.Departure.OnCollect = n =>
        {
            move.Departure.Write(0x2000, (byte)n);
            disk.Write(70_000 * n, [(byte)n]);
        };
        move.StartTarget();
        move.StartSource(move.ProxyPath);
        Assert.True(move.WaitForSource(), $"the source hangs: {move.SourceProgress.Info()}");

        // A target whose source went before it came waits for another one.
        if (move.TargetProgress.Phase == MigrationPhase.Connecting)
        {
            Assert.True(move.Target.TryCancel("the source went away"));
        }

        move.WaitForEnd();
    }

    private static string Outcome(Move move) =>
        $"source {move.SourceProgress.Phase}, target {move.TargetProgress.Phase}, runs at the {move.World.Running}; {move.SourceProgress.Info().Error}";

    private static void AssertOnePlace(Move move, string what)
    {
        MigrationInfo source = move.SourceProgress.Info();
        MigrationInfo target = move.TargetProgress.Info();
        string where = $"{what}: {Outcome(move)}";
        switch (source.Phase)
        {
            case MigrationPhase.Completed:
                Assert.True(move.World.Running == FakeArrival.Side, where);
                Assert.True((source.Guest, target.Guest) == (GuestPlace.There, GuestPlace.Here), where);
                break;
            case MigrationPhase.Unknown:
                // It stands still here, complete, and runs there or not.
                Assert.True(move.Departure.IsStopped && source.Guest == GuestPlace.Unknown, where);
                Assert.True(move.World.Running == (target.Phase == MigrationPhase.Completed ? FakeArrival.Side : ""), where);
                break;
            default:
                Assert.True(move.World.Running == FakeDeparture.Side, where);
                Assert.True((source.Guest, target.Guest) == (GuestPlace.Here, GuestPlace.There), where);
                Assert.False(string.IsNullOrEmpty(source.Error), where);
                Assert.True(target.Phase is MigrationPhase.Failed or MigrationPhase.Cancelled, where);
                break;
        }

        Assert.False(move.Departure.IsTracking || move.Departure.FakeDisks.Any(d => d.IsTracking), where);
        if (move.World.Running == FakeArrival.Side)
        {
            move.AssertMemoryArrived();
        }
        else
        {
            Assert.Empty(Directory.GetFileSystemEntries(move.DiskFolder));
        }
    }
}
