using Cnvm.Tests;
using Cnvm.Vmm.Migration;
using Xunit.Abstractions;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>As <see cref="FaultTests"/>, for memory that is handed over: whoever is in between passes the descriptors on.</summary>
public sealed class LocalFaultTests(ITestOutputHelper output)
{
    private static readonly FrameType[] SourceSays = [FrameType.Hello, FrameType.Offer, FrameType.Memory, FrameType.State, FrameType.Run, FrameType.Bye];
    private static readonly FrameType[] TargetSays = [FrameType.Welcome, FrameType.Accept, FrameType.Ready, FrameType.Running];

    private static ResultTable Table { get; } = ResultTable.Of("faults-local", "message", Enum.GetNames<Fault>());

    [Fact]
    public void These_are_the_messages()
    {
        using Move move = Make(20);
        using var between = new Disturber(move.ProxyPath, move.TargetPath) { PassesDescriptors = true };
        RunThrough(move);
        Assert.Equal(SourceSays, between.FromSource);
        Assert.Equal(TargetSays, between.FromTarget);
        Assert.Equal((MigrationPhase.Completed, FakeArrival.Side), (move.SourceProgress.Phase, move.World.Running));
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
    public void One_place_has_the_guest_and_its_memory_whatever_happens_to_a_message(Fault fault)
    {
        bool isMissedLate = fault is Fault.Drop or Fault.Reorder;
        (bool FromSource, int Index)[] plans =
        [
            .. Enumerable.Range(0, SourceSays.Length).Select(i => (true, i)), .. Enumerable.Range(0, TargetSays.Length).Select(i => (false, i)),
        ];
        Parallel.ForEach(plans, new ParallelOptions { MaxDegreeOfParallelism = 6 }, plan =>
        {
            FrameType type = (plan.FromSource ? SourceSays : TargetSays)[plan.Index];
            using Move move = Make(isMissedLate ? 1 : 20);
            using var between = new Disturber(move.ProxyPath, move.TargetPath) { Plan = (plan.FromSource, plan.Index, fault), PassesDescriptors = true };
            byte[] before = Contents(move);
            RunThrough(move);
            MigrationInfo source = move.SourceProgress.Info();
            MigrationInfo target = move.TargetProgress.Info();
            string what = $"{fault} of {(plan.FromSource ? "source" : "target")}'s {plan.Index} {type}: source {source.Phase}, target {target.Phase}, runs at the {move.World.Running}; {source.Error}";
            output.WriteLine(what);
            bool hasArrived = source.Phase == MigrationPhase.Completed;
            Assert.True(move.World.Running == (hasArrived ? FakeArrival.Side : FakeDeparture.Side), what);
            Assert.True((source.Guest, target.Guest) == (hasArrived ? (GuestPlace.There, GuestPlace.Here) : (GuestPlace.Here, GuestPlace.There)), what);
            Assert.True(hasArrived || move.Arrival.IsDiscarded || !move.Arrival.IsPrepared, what);
            Assert.True(hasArrived || !move.Departure.IsStopped, what);
            Assert.True(fault is not (Fault.Delay or Fault.Slow) || hasArrived, what);

            // One memory, which nobody has written.
            Assert.True(before.AsSpan().SequenceEqual(Contents(move)), what);
            Table.Set(
                (plan.FromSource ? 0 : 100) + plan.Index,
                $"{(plan.FromSource ? "source" : "target")}'s {plan.Index} {type}",
                $"{fault}",
                hasArrived ? "arrives" : move.Departure.WasStopped ? "goes on" : "runs on");
        });
    }

    private static byte[] Contents(Move move) =>
        [.. move.Departure.Memory.Regions.SelectMany(r => move.Departure.Memory.GetSpan(r.Gpa, (int)r.Size).ToArray())];

    private static Move Make(int seconds)
    {
        var move = new Move { Patience = TimeSpan.FromSeconds(seconds) };
        move.Departure.Dispose();
        move.World.Stop(FakeDeparture.Side);
        move.Departure = FakeDeparture.Local(move.World);
        MoveTests.Fill(move.Departure);
        return move;
    }

    private static void RunThrough(Move move)
    {
        move.StartTarget();
        move.StartSource(move.ProxyPath);
        Assert.True(move.WaitForSource(), $"the source hangs: {move.SourceProgress.Info()}");
        if (move.TargetProgress.Phase == MigrationPhase.Connecting)
        {
            Assert.True(move.Target.TryCancel("the source went away"));
        }

        move.WaitForEnd();
    }
}
