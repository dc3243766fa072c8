namespace Cnvm.Vmm.Snapshot;

/// <summary>A memory file that is compressed chunk by chunk: one Zstandard frame each, one behind the other.</summary>
/// <param name="Frames">Bytes of each frame, in the order of ranges and their chunks; 0 for a chunk of zeros, which has none.</param>
public sealed record CompressionState(ulong[] Frames);
