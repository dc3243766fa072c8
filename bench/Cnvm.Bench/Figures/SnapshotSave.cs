using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// vm.snapshot of a paused machine whose memory is full, into a file system in memory, against writing as many bytes from memory to a file
/// there; and what the snapshot adds to the process's memory meanwhile.
/// </summary>
/// <param name="memoryMiB">Guest memory.</param>
internal sealed class SnapshotSave(Workspace workspace, int memoryMiB) : Experiment
{
    private const string CopySide = "plain-copy";
    private const int BlockBytes = 1 << 20;
    private const double MiB = 1 << 20;
    private SnapshotGuest? _guest;
    private SnapshotPlace? _place;
    private byte[] _source = [];

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new($"snapshot-save-{memoryMiB}m", "MiB/s", $"vm.snapshot of {memoryMiB} MiB, against a plain write of as many bytes", HigherIsBetter: true),
    ];

    public override IReadOnlyList<string> Sides { get; } = ["cnvm", CopySide];

    protected override void SetUp()
    {
        _place = new SnapshotPlace();
        _guest = SnapshotGuest.Boot(workspace, workspace.File($"save-{memoryMiB}"), memoryMiB);
        _guest.Pause();
        string folder = _place.Folder();
        _guest.Snapshot(folder);
        _source = new byte[SnapshotPlace.MemoryBytes(folder)];
        new Random(1).NextBytes(_source);
        Directory.Delete(folder, recursive: true);

        // A page that nothing has used since the machine started can cost several times as much as another: neither side is to meet one.
        folder = _place.Folder();
        Copy(Path.Combine(folder, "copy"));
        Directory.Delete(folder, recursive: true);
    }

    protected override void TearDown()
    {
        _guest?.Dispose();
        _place?.Dispose();
        _source = [];
    }

    protected override double[] Sample(string side)
    {
        string folder = _place!.Folder();
        long nanoseconds = side == CopySide ? Copy(Path.Combine(folder, "copy")) : _guest!.Snapshot(folder);
        Directory.Delete(folder, recursive: true);
        return [_source.Length / MiB / (nanoseconds / 1e9)];
    }

    private long Copy(string path)
    {
        long asked = Child.Now;
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
        for (int at = 0; at < _source.Length; at += BlockBytes)
        {
            RandomAccess.Write(file, _source.AsSpan(at, Math.Min(BlockBytes, _source.Length - at)), at);
        }

        return Child.Now - asked;
    }
}
