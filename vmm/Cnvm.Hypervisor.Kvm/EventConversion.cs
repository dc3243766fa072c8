using Cnvm.Hypervisor.State;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>Pending and injected events between KVM's struct and the neutral record.</summary>
internal static class EventConversion
{
    public static VcpuEvents ToEvents(in kvm_vcpu_events e) => new()
    {
        ExceptionInjected = e.exception_injected != 0,
        ExceptionPending = e.exception_pending != 0,
        ExceptionVector = e.exception_nr,
        ExceptionHasErrorCode = e.exception_has_error_code != 0,
        ExceptionErrorCode = e.exception_error_code,
        ExceptionHasPayload = e.exception_has_payload != 0,
        ExceptionPayload = e.exception_payload,
        InterruptInjected = e.interrupt_injected != 0,
        InterruptVector = e.interrupt_nr,
        InterruptIsSoftware = e.interrupt_soft != 0,
        InterruptShadow = e.interrupt_shadow,
        NmiInjected = e.nmi_injected != 0,
        NmiPending = e.nmi_pending != 0,
        NmiMasked = e.nmi_masked != 0,
        SipiVector = e.sipi_vector,
        Smm = e.smi_smm != 0,
        SmmPending = e.smi_pending != 0,
        SmmInsideNmi = e.smi_smm_inside_nmi != 0,
        SmmLatchedInit = e.smi_latched_init != 0,
        TripleFaultPending = e.triple_fault_pending != 0,
    };

    /// <param name="e">What to inject.</param>
    /// <param name="payload">KVM_CAP_EXCEPTION_PAYLOAD is on.</param>
    public static kvm_vcpu_events ToKvm(VcpuEvents e, bool payload) => new()
    {
        exception_injected = Bit(e.ExceptionInjected),
        exception_pending = Bit(e.ExceptionPending),
        exception_nr = e.ExceptionVector,
        exception_has_error_code = Bit(e.ExceptionHasErrorCode),
        exception_error_code = e.ExceptionErrorCode,
        exception_has_payload = Bit(e.ExceptionHasPayload),
        exception_payload = e.ExceptionPayload,
        interrupt_injected = Bit(e.InterruptInjected),
        interrupt_nr = e.InterruptVector,
        interrupt_soft = Bit(e.InterruptIsSoftware),
        interrupt_shadow = e.InterruptShadow,
        nmi_injected = Bit(e.NmiInjected),
        nmi_pending = Bit(e.NmiPending),
        nmi_masked = Bit(e.NmiMasked),
        sipi_vector = e.SipiVector,
        smi_smm = Bit(e.Smm),
        smi_pending = Bit(e.SmmPending),
        smi_smm_inside_nmi = Bit(e.SmmInsideNmi),
        smi_latched_init = Bit(e.SmmLatchedInit),
        triple_fault_pending = Bit(e.TripleFaultPending),
        flags = KvmConstants.KVM_VCPUEVENT_VALID_NMI_PENDING
            | KvmConstants.KVM_VCPUEVENT_VALID_SHADOW
            | (payload ? KvmConstants.KVM_VCPUEVENT_VALID_PAYLOAD : 0)
            | (e.SipiVector != 0 ? KvmConstants.KVM_VCPUEVENT_VALID_SIPI_VECTOR : 0)
            // Hosts without SMM or the triple-fault event refuse the flag, so it is set only when there is something to say.
            | (e.Smm || e.SmmPending || e.SmmLatchedInit ? KvmConstants.KVM_VCPUEVENT_VALID_SMM : 0)
            | (e.TripleFaultPending ? KvmConstants.KVM_VCPUEVENT_VALID_TRIPLE_FAULT : 0),
    };

    private static byte Bit(bool value) => value ? (byte)1 : (byte)0;
}
