using System.Runtime.InteropServices;
using Cnvm.Arch.Registers;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

// What a vCPU looks like before its first instruction.
internal sealed unsafe partial class KvmVirtualCpu
{
    private const int LapicLint0 = 0x350;
    private const int LapicLint1 = 0x360;

    // Delivery mode of a local vector table entry, bits 10:8 (SDM vol. 3 §11.5.1).
    private const uint DeliverExtInt = 7 << 8;
    private const uint DeliverNmi = 4 << 8;
    private const uint LvtMasked = 1 << 16;

    /// <inheritdoc/>
    /// <remarks>
    /// KVM creates a vCPU in reset state, and <see cref="SetFirmwareDefaults"/> has made of it what firmware leaves behind;
    /// this overrides the registers that the boot protocol names and keeps APIC base and CR8.
    /// </remarks>
    public void SetEntry(VcpuEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        kvm_sregs reset = default;
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_GET_SREGS, ref reset);
        kvm_sregs system = RegisterConversion.ToKvm(entry.System);
        system.apic_base = reset.apic_base;
        system.cr8 = reset.cr8;
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_SREGS, ref system);
        kvm_regs general = RegisterConversion.ToKvm(entry.General);
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_REGS, ref general);
        var runnable = new kvm_mp_state { mp_state = KvmConstants.KVM_MP_STATE_RUNNABLE };
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_MP_STATE, ref runnable);
    }

    /// <summary>
    /// What a PC's firmware sets on every CPU and a directly booted kernel relies on: MTRRs on with write-back memory, fast
    /// strings, NMIs on LINT1, and on the boot CPU the PIC on LINT0 (MP specification 1.4 §3.6.2.2, virtual wire mode).
    /// </summary>
    private void SetFirmwareDefaults()
    {
        SetMsr(MsrIndex.MtrrDefType, MsrIndex.MtrrEnabledWriteBack);
        SetMsr(MsrIndex.MiscEnable, MsrIndex.MiscEnableFastString);
        kvm_lapic_state lapic = default;
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_GET_LAPIC, ref lapic);
        var registers = new Span<byte>(lapic.regs, KvmConstants.KVM_APIC_REG_SIZE);
        MemoryMarshal.Write(registers[LapicLint0..], Index == 0 ? DeliverExtInt : LvtMasked);
        MemoryMarshal.Write(registers[LapicLint1..], DeliverNmi);
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_LAPIC, ref lapic);
    }
}
