namespace Cnvm.Hypervisor;

/// <summary>Why a vCPU stopped running.</summary>
public enum VcpuStopReason
{
    /// <summary><see cref="IVirtualCpu.Kick"/>.</summary>
    Kicked,

    /// <summary>Triple fault: on a PC this resets the machine.</summary>
    Shutdown,

    /// <summary>Guest debugging: single step or breakpoint.</summary>
    Debug,

    /// <summary>The hypervisor cannot go on; see the report.</summary>
    Fatal,
}
