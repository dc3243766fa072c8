namespace Cnvm.Bench.Machines;

/// <summary>Where snapshots are written: a file system in memory if there is one, so that nothing waits for a disk. Removed at the end.</summary>
internal sealed class SnapshotPlace : IDisposable
{
    private const string InMemory = "/dev/shm";
    private readonly string _root;
    private int _count;

    public SnapshotPlace()
    {
        string root = Path.Combine(Directory.Exists(InMemory) ? InMemory : Path.GetTempPath(), $"cnvm-bench-{Guid.NewGuid():n}");
        _root = Directory.CreateDirectory(root).FullName;
    }

    /// <summary>A new folder.</summary>
    public string Folder() => Directory.CreateDirectory(Path.Combine(_root, $"{_count++}")).FullName;

    /// <summary>Bytes that a snapshot's memory takes: pages of zeros are left out.</summary>
    public static long MemoryBytes(string folder)
    {
        // stat(2): blocks of 512 bytes, which .NET does not tell.
        const int BlockBytes = 512;
        using var stat = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("stat", ["-c", "%b", Path.Combine(folder, "memory-ranges")]) { RedirectStandardOutput = true })!;
        string blocks = stat.StandardOutput.ReadToEnd();
        stat.WaitForExit();
        return long.TryParse(blocks, out long count) ? count * BlockBytes : throw new MeasurementException($"stat said '{blocks}'");
    }

    public void Dispose()
    {
        if (Directory.Exists(_root))
        {
            Directory.Delete(_root, recursive: true);
        }
    }
}
