using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Kvm;

// Register state of a vCPU as the KVM_GET_x and KVM_SET_x ioctls carry it (asm/kvm.h).
[Abi("linux/kvm.h", "struct kvm_regs")]
public struct kvm_regs
{
    public ulong rax, rbx, rcx, rdx;
    public ulong rsi, rdi, rsp, rbp;
    public ulong r8, r9, r10, r11;
    public ulong r12, r13, r14, r15;
    public ulong rip, rflags;
}

[Abi("linux/kvm.h", "struct kvm_segment")]
public struct kvm_segment
{
    public ulong @base;
    public uint limit;
    public ushort selector;
    public byte type;
    public byte present, dpl, db, s, l, g, avl;
    public byte unusable;
    public byte padding;
}

[Abi("linux/kvm.h", "struct kvm_dtable")]
public unsafe struct kvm_dtable
{
    public ulong @base;
    public ushort limit;
    public fixed ushort padding[3];
}

[Abi("linux/kvm.h", "struct kvm_sregs")]
public unsafe struct kvm_sregs
{
    public kvm_segment cs, ds, es, fs, gs, ss;
    public kvm_segment tr, ldt;
    public kvm_dtable gdt, idt;
    public ulong cr0, cr2, cr3, cr4, cr8;
    public ulong efer;
    public ulong apic_base;
    public fixed ulong interrupt_bitmap[4];
}

[Abi("linux/kvm.h", "struct kvm_lapic_state")]
public unsafe struct kvm_lapic_state
{
    public fixed byte regs[KvmConstants.KVM_APIC_REG_SIZE];
}

[Abi("linux/kvm.h", "struct kvm_xcr")]
public struct kvm_xcr
{
    public uint xcr;
    public uint reserved;
    public ulong value;
}

[Abi("linux/kvm.h", "struct kvm_xcrs")]
public unsafe struct kvm_xcrs
{
    public uint nr_xcrs;
    public uint flags;

    /// <summary>KVM_MAX_XCRS times <see cref="kvm_xcr"/>: index in the low half of the first word, value in the second.</summary>
    public fixed ulong xcrs[2 * KvmConstants.KVM_MAX_XCRS];
    public fixed ulong padding[16];
}

[Abi("linux/kvm.h", "struct kvm_debugregs")]
public unsafe struct kvm_debugregs
{
    public fixed ulong db[4];
    public ulong dr6;
    public ulong dr7;
    public ulong flags;
    public fixed ulong reserved[9];
}

[Abi("linux/kvm.h", "struct kvm_mp_state")]
public struct kvm_mp_state
{
    public uint mp_state;
}

[Abi("linux/kvm.h", "struct kvm_vcpu_events")]
public unsafe struct kvm_vcpu_events
{
    [AbiField("exception.injected")] public byte exception_injected;
    [AbiField("exception.nr")] public byte exception_nr;
    [AbiField("exception.has_error_code")] public byte exception_has_error_code;
    [AbiField("exception.pending")] public byte exception_pending;
    [AbiField("exception.error_code")] public uint exception_error_code;
    [AbiField("interrupt.injected")] public byte interrupt_injected;
    [AbiField("interrupt.nr")] public byte interrupt_nr;
    [AbiField("interrupt.soft")] public byte interrupt_soft;
    [AbiField("interrupt.shadow")] public byte interrupt_shadow;
    [AbiField("nmi.injected")] public byte nmi_injected;
    [AbiField("nmi.pending")] public byte nmi_pending;
    [AbiField("nmi.masked")] public byte nmi_masked;
    [AbiField("nmi.pad")] public byte nmi_pad;
    public uint sipi_vector;
    public uint flags;
    [AbiField("smi.smm")] public byte smi_smm;
    [AbiField("smi.pending")] public byte smi_pending;
    [AbiField("smi.smm_inside_nmi")] public byte smi_smm_inside_nmi;
    [AbiField("smi.latched_init")] public byte smi_latched_init;
    [AbiField("triple_fault.pending")] public byte triple_fault_pending;
    public fixed byte reserved[26];
    public byte exception_has_payload;
    public ulong exception_payload;
}

[Abi("linux/kvm.h", "struct kvm_msr_entry")]
public struct kvm_msr_entry
{
    public uint index;
    public uint reserved;
    public ulong data;
}

/// <summary>Followed by <see cref="nmsrs"/> times <see cref="kvm_msr_entry"/>.</summary>
[Abi("linux/kvm.h", "struct kvm_msrs")]
public struct kvm_msrs
{
    public uint nmsrs;
    public uint pad;
}

/// <summary>Followed by <see cref="nmsrs"/> indices of 32 bits.</summary>
[Abi("linux/kvm.h", "struct kvm_msr_list")]
public struct kvm_msr_list
{
    public uint nmsrs;
}

[Abi("linux/kvm.h", "struct kvm_cpuid_entry2")]
public unsafe struct kvm_cpuid_entry2
{
    public uint function;
    public uint index;
    public uint flags;
    public uint eax;
    public uint ebx;
    public uint ecx;
    public uint edx;
    public fixed uint padding[3];
}

/// <summary>Followed by <see cref="nent"/> times <see cref="kvm_cpuid_entry2"/>.</summary>
[Abi("linux/kvm.h", "struct kvm_cpuid2")]
public struct kvm_cpuid2
{
    public uint nent;
    public uint padding;
}

[Abi("linux/kvm.h", "struct kvm_guest_debug")]
public unsafe struct kvm_guest_debug
{
    public uint control;
    public uint pad;

    /// <summary>arch.debugreg: DR0 to DR3, then DR7 at index 7.</summary>
    [AbiField("arch.debugreg")] public fixed ulong debugreg[8];
}

[Abi("linux/kvm.h", "struct kvm_translation")]
public unsafe struct kvm_translation
{
    public ulong linear_address;
    public ulong physical_address;
    public byte valid;
    public byte writeable;
    public byte usermode;
    public fixed byte pad[5];
}
