namespace Cnvm.Hypervisor.State;

/// <summary>Activity of a vCPU (multiprocessor start-up state; SDM vol. 3 §9.4).</summary>
public enum MpState : byte
{
    Runnable,

    /// <summary>An application processor that has had no INIT.</summary>
    Uninitialized,

    /// <summary>Had INIT, waits for a SIPI.</summary>
    WaitForSipi,

    /// <summary>HLT.</summary>
    Halted,
}
