using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>A disk's image in a snapshot.</summary>
/// <param name="FileName">In the snapshot's folder.</param>
/// <param name="Write">Writes it to an empty file, opened for writing.</param>
internal sealed record SnapshotDisk(string FileName, Action<SafeFileHandle> Write);
