using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

internal sealed unsafe partial class KvmVirtualCpu
{
    // DR7 (SDM vol. 3 §18.2.4): bit 10 reads as one; global enable of breakpoint n is bit 2n + 1; type 0 is execution.
    private const ulong Dr7Fixed = 1 << 10;
    private const int Dr7Index = 7;

    public void SetDebug(VcpuDebug? debug)
    {
        var request = default(kvm_guest_debug);
        if (debug is not null)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(debug.Breakpoints.Length, VcpuDebug.MaxBreakpoints, nameof(debug));
            request.control = KvmConstants.KVM_GUESTDBG_ENABLE
                | (debug.SingleStep ? KvmConstants.KVM_GUESTDBG_SINGLESTEP : 0)
                | (debug.Breakpoints.Length > 0 ? KvmConstants.KVM_GUESTDBG_USE_HW_BP : 0);
            ulong dr7 = Dr7Fixed;
            for (int i = 0; i < debug.Breakpoints.Length; i++)
            {
                request.debugreg[i] = debug.Breakpoints[i];
                dr7 |= 2UL << (2 * i);
            }

            request.debugreg[Dr7Index] = dr7;
        }

        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_GUEST_DEBUG, ref request);
    }
}
