using Cnvm.Hypervisor;

namespace Cnvm.Vmm.Metrics;

/// <summary>What a monitoring system may want to know of the VM, as plain numbers at one moment.</summary>
/// <param name="State">Null when no VM was created.</param>
/// <param name="MemoryBytes">RAM that the guest has.</param>
/// <param name="Vcpus">Exit counts of each vCPU, by its index; empty unless booted.</param>
/// <param name="Devices">Counters by device id, then by counter name; empty unless booted.</param>
public sealed record VmmMetrics(
    VmState? State,
    ulong MemoryBytes,
    IReadOnlyList<VcpuExitCounters> Vcpus,
    IReadOnlyDictionary<string, IReadOnlyDictionary<string, ulong>> Devices);
