using System.Collections.Immutable;
using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Registers;
using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Hypervisor.State;

/// <summary>The elements of a vCPU's state (FORMAT.md, "vCPU").</summary>
public static class VcpuElements
{
    private const int DebugAddressCount = 4;

    /// <summary>For <see cref="StateWriter"/> and <see cref="StateReader"/>.</summary>
    public static VcpuState Describe(StateVisitor v, VcpuState? s)
    {
        ArgumentNullException.ThrowIfNull(v);
        var state = new VcpuState
        {
            Cpuid = Cpuid(v, 1, s?.Cpuid),
            MpState = (MpState)v.U8(2, "mp_state", (byte?)s?.MpState),
            General = v.Record(3, "registers", s?.General, General),
            System = v.Record(4, "system", s?.System, System),
            Xsave = [.. v.Bytes(5, "xsave", s?.Xsave.AsMemory())],
            Xcr0 = v.U64(6, "xcr0", s?.Xcr0),
            DebugAddresses = [.. v.U64List(7, "dr0_3", s?.DebugAddresses)],
            Dr6 = v.U64(8, "dr6", s?.Dr6),
            Dr7 = v.U64(9, "dr7", s?.Dr7),
            Lapic = [.. v.Bytes(10, "lapic", s?.Lapic.AsMemory())],
            Msrs = [.. v.ValueList<MsrValue>(11, "msrs", s?.Msrs, Msr)],
            Events = v.Record(12, "events", s?.Events, Events),
            TscKhz = v.U32(13, "tsc_khz", s?.TscKhz),
            TscTimestamp = v.U64(14, "tsc_timestamp", s?.TscTimestamp),
        };
        v.Require(state.MpState <= MpState.Halted, $"there is no start-up state {(byte)state.MpState}");
        v.Require(state.Xsave.Length >= XsaveArea.MinBytes, $"an XSAVE area of {state.Xsave.Length} bytes is too short");
        v.Require(state.DebugAddresses.Length == DebugAddressCount, $"{state.DebugAddresses.Length} breakpoint addresses instead of 4");
        v.Require(state.Lapic.Length == VcpuState.LapicBytes, $"a local APIC page of {state.Lapic.Length} bytes");
        return state;
    }

    /// <summary>A CPUID table as the element <c>cpuid</c> of a record.</summary>
    public static CpuidTable Cpuid(StateVisitor v, int number, CpuidTable? table)
    {
        ArgumentNullException.ThrowIfNull(v);
        CpuidEntry[] entries = v.ValueList(number, "cpuid", table, CpuidLeaf);
        for (int i = 1; i < entries.Length; i++)
        {
            v.Require(Key(entries[i - 1]) < Key(entries[i]), "CPUID leaves are not in ascending order");
        }

        return new CpuidTable(entries);
    }

    private static ulong Key(in CpuidEntry e) => ((ulong)e.Leaf << 32) | (e.HasSubleaf ? e.Subleaf : 0);

    private static CpuidEntry CpuidLeaf(StateVisitor v, CpuidEntry? e) => new()
    {
        Leaf = v.U32(1, "leaf", e?.Leaf),
        Subleaf = v.U32(2, "subleaf", e?.Subleaf),
        HasSubleaf = v.Bool(3, "has_subleaf", e?.HasSubleaf),
        Eax = v.U32(4, "eax", e?.Eax),
        Ebx = v.U32(5, "ebx", e?.Ebx),
        Ecx = v.U32(6, "ecx", e?.Ecx),
        Edx = v.U32(7, "edx", e?.Edx),
    };

    private static GeneralRegisters General(StateVisitor v, GeneralRegisters? r) => new()
    {
        Rax = v.U64(1, "rax", r?.Rax),
        Rbx = v.U64(2, "rbx", r?.Rbx),
        Rcx = v.U64(3, "rcx", r?.Rcx),
        Rdx = v.U64(4, "rdx", r?.Rdx),
        Rsi = v.U64(5, "rsi", r?.Rsi),
        Rdi = v.U64(6, "rdi", r?.Rdi),
        Rsp = v.U64(7, "rsp", r?.Rsp),
        Rbp = v.U64(8, "rbp", r?.Rbp),
        R8 = v.U64(9, "r8", r?.R8),
        R9 = v.U64(10, "r9", r?.R9),
        R10 = v.U64(11, "r10", r?.R10),
        R11 = v.U64(12, "r11", r?.R11),
        R12 = v.U64(13, "r12", r?.R12),
        R13 = v.U64(14, "r13", r?.R13),
        R14 = v.U64(15, "r14", r?.R14),
        R15 = v.U64(16, "r15", r?.R15),
        Rip = v.U64(17, "rip", r?.Rip),
        Rflags = v.U64(18, "rflags", r?.Rflags),
    };

    private static SystemRegisters System(StateVisitor v, SystemRegisters? r) => new()
    {
        Cs = v.Record(1, "cs", r?.Cs, Segment),
        Ds = v.Record(2, "ds", r?.Ds, Segment),
        Es = v.Record(3, "es", r?.Es, Segment),
        Fs = v.Record(4, "fs", r?.Fs, Segment),
        Gs = v.Record(5, "gs", r?.Gs, Segment),
        Ss = v.Record(6, "ss", r?.Ss, Segment),
        Tr = v.Record(7, "tr", r?.Tr, Segment),
        Ldt = v.Record(8, "ldt", r?.Ldt, Segment),
        Gdt = v.Record(9, "gdt", r?.Gdt, Table),
        Idt = v.Record(10, "idt", r?.Idt, Table),
        Cr0 = v.U64(11, "cr0", r?.Cr0),
        Cr2 = v.U64(12, "cr2", r?.Cr2),
        Cr3 = v.U64(13, "cr3", r?.Cr3),
        Cr4 = v.U64(14, "cr4", r?.Cr4),
        Cr8 = v.U64(15, "cr8", r?.Cr8),
        Efer = v.U64(16, "efer", r?.Efer),
        ApicBase = v.U64(17, "apic_base", r?.ApicBase),
    };

    private static SegmentRegister Segment(StateVisitor v, SegmentRegister? s) => new()
    {
        Selector = v.U16(1, "selector", s?.Selector),
        Base = v.U64(2, "base", s?.Base),
        Limit = v.U32(3, "limit", s?.Limit),
        Attributes = v.U32(4, "attributes", s?.Attributes),
    };

    private static DescriptorTable Table(StateVisitor v, DescriptorTable? t) =>
        new(v.U64(1, "base", t?.Base), v.U16(2, "limit", t?.Limit));

    private static MsrValue Msr(StateVisitor v, MsrValue? m)
    {
        var msr = new MsrValue(v.U32(1, "index", m?.Index), v.U64(2, "value", m?.Value))
        {
            Policy = (MsrPolicy)v.U8(3, "policy", (byte?)m?.Policy),
        };
        v.Require(msr.Policy <= MsrPolicy.Offer, $"MSR 0x{msr.Index:x} has unknown policy {(byte)msr.Policy}");
        return msr;
    }

    private static VcpuEvents Events(StateVisitor v, VcpuEvents? e) => new()
    {
        ExceptionInjected = v.Bool(1, "exception_injected", e?.ExceptionInjected),
        ExceptionPending = v.Bool(2, "exception_pending", e?.ExceptionPending),
        ExceptionVector = v.U8(3, "exception_vector", e?.ExceptionVector),
        ExceptionHasErrorCode = v.Bool(4, "exception_has_error_code", e?.ExceptionHasErrorCode),
        ExceptionErrorCode = v.U32(5, "exception_error_code", e?.ExceptionErrorCode),
        ExceptionHasPayload = v.Bool(6, "exception_has_payload", e?.ExceptionHasPayload),
        ExceptionPayload = v.U64(7, "exception_payload", e?.ExceptionPayload),
        InterruptInjected = v.Bool(8, "interrupt_injected", e?.InterruptInjected),
        InterruptVector = v.U8(9, "interrupt_vector", e?.InterruptVector),
        InterruptIsSoftware = v.Bool(10, "interrupt_is_software", e?.InterruptIsSoftware),
        InterruptShadow = v.U8(11, "interrupt_shadow", e?.InterruptShadow),
        NmiInjected = v.Bool(12, "nmi_injected", e?.NmiInjected),
        NmiPending = v.Bool(13, "nmi_pending", e?.NmiPending),
        NmiMasked = v.Bool(14, "nmi_masked", e?.NmiMasked),
        SipiVector = v.U32(15, "sipi_vector", e?.SipiVector),
        Smm = v.Bool(16, "smm", e?.Smm),
        SmmPending = v.Bool(17, "smm_pending", e?.SmmPending),
        SmmInsideNmi = v.Bool(18, "smm_inside_nmi", e?.SmmInsideNmi),
        SmmLatchedInit = v.Bool(19, "smm_latched_init", e?.SmmLatchedInit),
        TripleFaultPending = v.Bool(20, "triple_fault_pending", e?.TripleFaultPending),
    };
}
