using Cnvm.Hypervisor.State;

namespace Cnvm.Vmm.Snapshot;

/// <summary>A vCPU and its place.</summary>
public sealed record VcpuSlotState(uint Index, uint ApicId, VcpuState State);
