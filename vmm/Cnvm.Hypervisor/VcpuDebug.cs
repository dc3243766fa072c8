using System.Collections.Immutable;

namespace Cnvm.Hypervisor;

/// <summary>What stops a vCPU for a debugger (<see cref="VcpuStopReason.Debug"/>).</summary>
/// <param name="SingleStep">Stop after every instruction.</param>
/// <param name="Breakpoints">Linear addresses of at most four instructions; the vCPU stops before it executes one.</param>
public sealed record VcpuDebug(bool SingleStep, ImmutableArray<ulong> Breakpoints)
{
    /// <summary>Most breakpoints that the debug registers hold.</summary>
    public const int MaxBreakpoints = 4;
}
