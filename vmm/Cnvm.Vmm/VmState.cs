namespace Cnvm.Vmm;

/// <summary>Where in its life a virtual machine is. The names are the contract's.</summary>
public enum VmState
{
    /// <summary>Configured, never booted.</summary>
    Created,

    Running,

    /// <summary>Stopped after it ran; can be booted again.</summary>
    Shutdown,

    Paused,

    /// <summary>Stopped at a guest debugger's breakpoint.</summary>
    BreakPoint,
}
