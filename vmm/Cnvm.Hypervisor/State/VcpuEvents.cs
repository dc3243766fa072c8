namespace Cnvm.Hypervisor.State;

/// <summary>Exceptions, interrupts and NMIs that are under way or pending (what KVM_GET_VCPU_EVENTS tells).</summary>
public sealed record VcpuEvents
{
    public bool ExceptionInjected { get; init; }
    public bool ExceptionPending { get; init; }
    public byte ExceptionVector { get; init; }
    public bool ExceptionHasErrorCode { get; init; }
    public uint ExceptionErrorCode { get; init; }
    public bool ExceptionHasPayload { get; init; }
    public ulong ExceptionPayload { get; init; }

    public bool InterruptInjected { get; init; }
    public byte InterruptVector { get; init; }
    public bool InterruptIsSoftware { get; init; }

    /// <summary>Interrupt shadow: bit 0 after MOV SS, bit 1 after STI.</summary>
    public byte InterruptShadow { get; init; }

    public bool NmiInjected { get; init; }
    public bool NmiPending { get; init; }
    public bool NmiMasked { get; init; }

    public uint SipiVector { get; init; }

    public bool Smm { get; init; }
    public bool SmmPending { get; init; }
    public bool SmmInsideNmi { get; init; }
    public bool SmmLatchedInit { get; init; }
    public bool TripleFaultPending { get; init; }
}
