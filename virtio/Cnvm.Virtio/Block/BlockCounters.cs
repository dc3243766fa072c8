namespace Cnvm.Virtio.Block;

/// <summary>What a block device has done since it was made. Latencies are in microseconds, from descriptor to completion.</summary>
public readonly record struct BlockCounters(
    ulong ReadBytes,
    ulong WriteBytes,
    ulong ReadOps,
    ulong WriteOps,
    ulong ReadLatencyMin,
    ulong ReadLatencyMax,
    ulong ReadLatencyAverage,
    ulong WriteLatencyMin,
    ulong WriteLatencyMax,
    ulong WriteLatencyAverage);
