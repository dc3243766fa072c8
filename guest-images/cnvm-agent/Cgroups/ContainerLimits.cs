using Cnvm.GuestAgent.Devices;

namespace Cnvm.GuestAgent.Cgroups;

/// <summary>Limits of a container as an OCI specification gives them; 0 and empty: not said. -1: none.</summary>
/// <param name="MemoryLimit">Bytes.</param>
/// <param name="MemoryReservation">Bytes.</param>
/// <param name="MemoryAndSwap">Bytes of both together.</param>
/// <param name="CpuShares">2 to 262144; 1024 is usual.</param>
/// <param name="CpuQuota">Microseconds a period.</param>
/// <param name="CpuPeriod">Microseconds.</param>
/// <param name="Cpus">A list such as 0-2,4.</param>
/// <param name="MemoryNodes">A list of the same kind.</param>
/// <param name="Processes">Number of tasks.</param>
/// <param name="Devices">Null: not said.</param>
internal sealed record ContainerLimits(
    long MemoryLimit, long MemoryReservation, long MemoryAndSwap, ulong CpuShares, long CpuQuota, ulong CpuPeriod, string Cpus, string MemoryNodes, long Processes,
    DeviceRules? Devices)
{
    public static ContainerLimits None { get; } = new(0, 0, 0, 0, 0, 0, "", "", 0, null);
}
