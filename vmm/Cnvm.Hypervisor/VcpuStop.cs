namespace Cnvm.Hypervisor;

/// <summary>Why <see cref="IVirtualCpu.Run"/> returned.</summary>
/// <param name="Reason">The kind of stop.</param>
/// <param name="Report">For <see cref="VcpuStopReason.Fatal"/>: what happened with registers and disassembly, many lines; otherwise null.</param>
public readonly record struct VcpuStop(VcpuStopReason Reason, string? Report = null);
