using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>vm.snapshot of a paused machine: only what changed since the one before, against all of its memory, which is full.</summary>
/// <param name="memoryMiB">Guest memory.</param>
internal sealed class SnapshotIncrement(Workspace workspace, int memoryMiB) : Experiment
{
    private const string FullSide = "cnvm-full";
    private SnapshotGuest? _guest;
    private SnapshotPlace? _place;

    public override IReadOnlyList<Measure> Measures { get; } =
        [new($"snapshot-incr-{memoryMiB}m", "ms", $"incremental vm.snapshot of {memoryMiB} MiB with a few changed pages, against a full one")];

    public override IReadOnlyList<string> Sides { get; } = ["cnvm", FullSide];

    protected override void SetUp()
    {
        _place = new SnapshotPlace();
        _guest = SnapshotGuest.Boot(workspace, workspace.File($"increment-{memoryMiB}"), memoryMiB);
        _guest.Pause();
        string folder = _place.Folder();
        _guest.Snapshot(folder, ""","track_changes":true""");
        Directory.Delete(folder, recursive: true);
    }

    protected override void TearDown()
    {
        _guest?.Dispose();
        _place?.Dispose();
    }

    protected override double[] Sample(string side)
    {
        _guest!.Resume();
        _guest.Pause();
        string folder = _place!.Folder();
        long nanoseconds = _guest.Snapshot(folder, side == FullSide ? "" : ""","incremental":true""");
        Directory.Delete(folder, recursive: true);
        return [nanoseconds / 1e6];
    }
}
