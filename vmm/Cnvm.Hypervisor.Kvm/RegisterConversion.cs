using Cnvm.Arch.Registers;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>Registers between KVM's structs and architectural terms.</summary>
internal static class RegisterConversion
{
    public static GeneralRegisters ToGeneral(in kvm_regs r) => new()
    {
        Rax = r.rax, Rbx = r.rbx, Rcx = r.rcx, Rdx = r.rdx,
        Rsi = r.rsi, Rdi = r.rdi, Rsp = r.rsp, Rbp = r.rbp,
        R8 = r.r8, R9 = r.r9, R10 = r.r10, R11 = r.r11,
        R12 = r.r12, R13 = r.r13, R14 = r.r14, R15 = r.r15,
        Rip = r.rip, Rflags = r.rflags,
    };

    public static kvm_regs ToKvm(in GeneralRegisters r) => new()
    {
        rax = r.Rax, rbx = r.Rbx, rcx = r.Rcx, rdx = r.Rdx,
        rsi = r.Rsi, rdi = r.Rdi, rsp = r.Rsp, rbp = r.Rbp,
        r8 = r.R8, r9 = r.R9, r10 = r.R10, r11 = r.R11,
        r12 = r.R12, r13 = r.R13, r14 = r.R14, r15 = r.R15,
        rip = r.Rip, rflags = r.Rflags | 2,
    };

    public static SystemRegisters ToSystem(in kvm_sregs s) => new()
    {
        Cs = ToSegment(s.cs), Ds = ToSegment(s.ds), Es = ToSegment(s.es),
        Fs = ToSegment(s.fs), Gs = ToSegment(s.gs), Ss = ToSegment(s.ss),
        Tr = ToSegment(s.tr), Ldt = ToSegment(s.ldt),
        Gdt = new DescriptorTable(s.gdt.@base, s.gdt.limit),
        Idt = new DescriptorTable(s.idt.@base, s.idt.limit),
        Cr0 = s.cr0, Cr2 = s.cr2, Cr3 = s.cr3, Cr4 = s.cr4, Cr8 = s.cr8,
        Efer = s.efer,
        ApicBase = s.apic_base,
    };

    /// <summary>An injected interrupt is part of the events, so the bitmap stays empty.</summary>
    public static kvm_sregs ToKvm(in SystemRegisters s) => new()
    {
        cs = ToKvm(s.Cs), ds = ToKvm(s.Ds), es = ToKvm(s.Es),
        fs = ToKvm(s.Fs), gs = ToKvm(s.Gs), ss = ToKvm(s.Ss),
        tr = ToKvm(s.Tr), ldt = ToKvm(s.Ldt),
        gdt = new kvm_dtable { @base = s.Gdt.Base, limit = s.Gdt.Limit },
        idt = new kvm_dtable { @base = s.Idt.Base, limit = s.Idt.Limit },
        cr0 = s.Cr0, cr2 = s.Cr2, cr3 = s.Cr3, cr4 = s.Cr4, cr8 = s.Cr8,
        efer = s.Efer,
        apic_base = s.ApicBase,
    };

    private static SegmentRegister ToSegment(in kvm_segment s) => new()
    {
        Base = s.@base,
        Limit = s.limit,
        Selector = s.selector,
        Attributes = (uint)(s.type | (s.s << 4) | (s.dpl << 5) | (s.present << 7) | (s.avl << 12) | (s.l << 13) | (s.db << 14) | (s.g << 15))
            | (s.unusable != 0 ? SegmentRegister.Unusable : 0),
    };

    private static kvm_segment ToKvm(in SegmentRegister s) => new()
    {
        @base = s.Base,
        limit = s.Limit,
        selector = s.Selector,
        type = s.Type,
        present = Bit(s.Present),
        dpl = s.Dpl,
        db = Bit(s.Default),
        s = Bit(s.NonSystem),
        l = Bit(s.Long),
        g = Bit(s.Granularity),
        avl = Bit(s.Available),
        unusable = Bit(s.IsUnusable),
    };

    private static byte Bit(bool value) => value ? (byte)1 : (byte)0;
}
