using System.Collections.Immutable;
using System.Globalization;
using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.State;
using Cnvm.Linux;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

// The complete state, read and applied in the order that KVM's side effects ask for.
internal sealed unsafe partial class KvmVirtualCpu
{
    /// <inheritdoc/>
    /// <remarks>
    /// MP state first: reading it lets KVM accept pending INITs and SIPIs, which changes other state. MSRs before the local
    /// APIC: a TSC deadline that passes in between is then in both, rather than in neither. Events last.
    /// </remarks>
    public VcpuState Save()
    {
        ServeRequests();
        kvm_mp_state mp = default;
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_GET_MP_STATE, ref mp);
        ImmutableArray<MsrValue> msrs = SaveMsrs(out ulong tscTimestamp);
        kvm_regs general = default;
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_GET_REGS, ref general);
        kvm_sregs system = default;
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_GET_SREGS, ref system);
        kvm_debugregs debug = default;
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_GET_DEBUGREGS, ref debug);
        kvm_lapic_state lapic = default;
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_GET_LAPIC, ref lapic);
        kvm_vcpu_events events = default;
        var state = new VcpuState
        {
            Cpuid = _cpuid,
            MpState = ToMpState(mp.mp_state),
            General = RegisterConversion.ToGeneral(general),
            System = SystemRegistersForm.Normalize(RegisterConversion.ToSystem(system)),
            Xsave = SaveXsave(),
            Xcr0 = SaveXcr0(),
            DebugAddresses = [debug.db[0], debug.db[1], debug.db[2], debug.db[3]],
            Dr6 = debug.dr6,
            Dr7 = debug.dr7,
            Lapic = [.. new ReadOnlySpan<byte>(lapic.regs, KvmConstants.KVM_APIC_REG_SIZE)],
            Msrs = msrs,
            TscKhz = TscKhz,
            TscTimestamp = tscTimestamp,
            Events = EventConversion.ToEvents(ReadEvents(ref events)),
        };
        return state;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// SET_REGS drops pending exceptions, so events come last; the local APIC follows SREGS (its base) and precedes the MSRs
    /// (TSC deadline). XCR0 follows XSAVE, which KVM checks against what the CPUID allows, not against XCR0.
    /// </remarks>
    public void Restore(VcpuState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        byte[] xsave = CheckFits(state);
        if (!state.Cpuid.Equals(_cpuid))
        {
            KvmCpuid.Set(_fd.Value, state.Cpuid);
            _cpuid = state.Cpuid;
        }

        RestoreTscFrequency(state.TscKhz);
        var mp = new kvm_mp_state { mp_state = ToKvm(state.MpState) };
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_MP_STATE, ref mp);
        kvm_regs general = RegisterConversion.ToKvm(state.General);
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_REGS, ref general);
        kvm_sregs system = RegisterConversion.ToKvm(state.System);
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_SREGS, ref system);
        RestoreXsave(xsave);
        var xcrs = new kvm_xcrs { nr_xcrs = 1 };
        xcrs.xcrs[1] = state.Xcr0;
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_XCRS, ref xcrs);
        RestoreDebugRegisters(state);
        kvm_lapic_state lapic = default;
        state.Lapic.AsSpan().CopyTo(new Span<byte>(lapic.regs, KvmConstants.KVM_APIC_REG_SIZE));
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_LAPIC, ref lapic);
        RestoreMsrs(state.Msrs);
        kvm_vcpu_events events = EventConversion.ToKvm(state.Events, _partition.ExceptionPayload);
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_VCPU_EVENTS, ref events);
        AnnouncePause();
#if DEBUG
        VcpuStateComparison.ThrowIfDifferent(Index, state, Save());
#endif
    }

    /// <summary>Frequency of this vCPU's TSC in kHz.</summary>
    private uint TscKhz => (uint)KvmIoctl.Call(_fd.Value, KvmRequest.KVM_GET_TSC_KHZ);

    private static MpState ToMpState(uint state) => state switch
    {
        KvmConstants.KVM_MP_STATE_UNINITIALIZED => MpState.Uninitialized,
        KvmConstants.KVM_MP_STATE_INIT_RECEIVED => MpState.WaitForSipi,
        KvmConstants.KVM_MP_STATE_HALTED => MpState.Halted,
        // SIPI_RECEIVED is a moment inside KVM_RUN of old kernels and already runs from the SIPI's vector.
        _ => MpState.Runnable,
    };

    private static uint ToKvm(MpState state) => state switch
    {
        MpState.Runnable => KvmConstants.KVM_MP_STATE_RUNNABLE,
        MpState.Uninitialized => KvmConstants.KVM_MP_STATE_UNINITIALIZED,
        MpState.WaitForSipi => KvmConstants.KVM_MP_STATE_INIT_RECEIVED,
        MpState.Halted => KvmConstants.KVM_MP_STATE_HALTED,
        _ => throw new HypervisorException($"unknown start-up state {state}"),
    };

    private ref kvm_vcpu_events ReadEvents(ref kvm_vcpu_events events)
    {
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_GET_VCPU_EVENTS, ref events);
        return ref events;
    }

    /// <summary>Refuses, before anything changes, what no ioctl would name; gives the XSAVE area as this host takes it.</summary>
    private byte[] CheckFits(VcpuState state)
    {
        if (state.Lapic.Length != KvmConstants.KVM_APIC_REG_SIZE)
        {
            throw new HypervisorException($"vCPU {Index}: the local APIC's page has {state.Lapic.Length} bytes instead of 1024");
        }

        if (state.DebugAddresses.Length != 4)
        {
            throw new HypervisorException($"vCPU {Index}: {state.DebugAddresses.Length} breakpoint addresses instead of 4");
        }

        if (state.Xsave.Length < XsaveArea.MinBytes)
        {
            throw new HypervisorException($"vCPU {Index}: an XSAVE area of {state.Xsave.Length} bytes is too short");
        }

        var area = new byte[_partition.XsaveSize];
        ulong without = XsaveArea.Place(state.Xsave.AsSpan(), state.Cpuid, _partition.Hypervisor.SupportedCpuid, area);
        return without == 0
            ? area
            : throw new HypervisorException(string.Create(
                CultureInfo.InvariantCulture,
                $"vCPU {Index}: the XSAVE area holds register state (components 0x{without:x}) that this host does not have"));
    }

    private void RestoreTscFrequency(uint khz)
    {
        uint now = TscKhz;
        if (TscTolerance.Covers(khz, now))
        {
            return;
        }

        if (!_partition.Hypervisor.Capabilities.TscScaling)
        {
            throw new HypervisorException(string.Create(
                CultureInfo.InvariantCulture,
                $"vCPU {Index}: the guest's TSC runs at {khz} kHz, this host's at {now} kHz, and the host cannot scale it"));
        }

        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_TSC_KHZ, (nint)khz);
    }

    private void RestoreDebugRegisters(VcpuState state)
    {
        var debug = new kvm_debugregs { dr6 = state.Dr6, dr7 = state.Dr7 };
        for (int i = 0; i < 4; i++)
        {
            debug.db[i] = state.DebugAddresses[i];
        }

        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_DEBUGREGS, ref debug);
    }

    private ImmutableArray<byte> SaveXsave()
    {
        var area = new byte[_partition.XsaveSize];
        uint request = _partition.XsaveSize > 4096 ? KvmRequest.KVM_GET_XSAVE2 : KvmRequest.KVM_GET_XSAVE;
        // SAFETY: KVM writes as many bytes as KVM_CAP_XSAVE2 tells, or 4096 with the older request.
        fixed (byte* p = area)
        {
            KvmIoctl.Call(_fd.Value, request, (nint)p, "KVM_GET_XSAVE");
        }

        // KVM's area lies as this host's CPUs have it, the guest's as its own CPUID says.
        CpuidTable host = _partition.Hypervisor.SupportedCpuid;
        var moved = new byte[Math.Max(_partition.XsaveSize, XsaveArea.BytesOf(_cpuid))];
        XsaveArea.Place(area, host, _cpuid, moved);
        return XsaveArea.Normalize(moved, _cpuid);
    }

    private void RestoreXsave(byte[] area)
    {
        // SAFETY: KVM reads as many bytes as KVM_CAP_XSAVE2 tells, at least 4096, which is the array's length.
        fixed (byte* p = area)
        {
            KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_XSAVE, (nint)p);
        }
    }

    private ulong SaveXcr0()
    {
        kvm_xcrs xcrs = default;
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_GET_XCRS, ref xcrs);
        for (int i = 0; i < xcrs.nr_xcrs && i < KvmConstants.KVM_MAX_XCRS; i++)
        {
            if ((uint)xcrs.xcrs[2 * i] == 0)
            {
                return xcrs.xcrs[(2 * i) + 1];
            }
        }

        // A CPU without XSAVE: x87 is always on.
        return 1;
    }

    /// <summary>Tells a guest that uses kvmclock that it was paused, so that its watchdogs do not bark.</summary>
    private void AnnouncePause()
    {
        if (Libc.ioctl(_fd.Value, KvmRequest.KVM_KVMCLOCK_CTRL, (nint)0) < 0 && LinuxError.Last is not (Errno.EINVAL or Errno.ENOTTY))
        {
            throw KvmIoctl.Refused(nameof(KvmRequest.KVM_KVMCLOCK_CTRL), LinuxError.Last);
        }
    }
}
