using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// vm.restore with resume, on a process that waits for it, until the guest's first output has come through a pipe: on demand, against a
/// copy of all memory.
/// </summary>
/// <param name="memoryMiB">Guest memory, all of it in the snapshot.</param>
internal sealed class SnapshotRestore(Workspace workspace, int memoryMiB) : Experiment
{
    private const string CopySide = "cnvm-copy";
    private SnapshotPlace? _place;
    private string _folder = "";
    private int _count;

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new($"restore-{memoryMiB}m-wall", "ms", $"vm.restore of {memoryMiB} MiB on demand, against Copy, to the guest's first output, elapsed"),
        new($"restore-{memoryMiB}m-cpu", "ms", $"vm.restore of {memoryMiB} MiB on demand, against Copy, to the guest's first output, processor time"),
    ];

    public override IReadOnlyList<string> Sides { get; } = ["cnvm", CopySide];

    protected override void SetUp()
    {
        _place = new SnapshotPlace();
        _folder = _place.Folder();
        using SnapshotGuest guest = SnapshotGuest.Boot(workspace, workspace.File($"restore-{memoryMiB}"), memoryMiB, prints: true);
        guest.Pause();
        guest.Snapshot(_folder);
    }

    protected override void TearDown() => _place?.Dispose();

    protected override double[] Sample(string side)
    {
        using SnapshotGuest guest = SnapshotGuest.Empty(workspace, workspace.File($"restored-{memoryMiB}-{_count++}"));
        (long elapsed, long processor) = guest.Restore(_folder, side == CopySide ? "Copy" : "OnDemand");
        return [elapsed / 1e6, processor / 1e6];
    }
}
