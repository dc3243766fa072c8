using System.Collections.Immutable;
using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Registers;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Ops;
using Cnvm.Hypervisor.Soft.Platform;
using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor.Soft;

/// <summary>The neutral state, both ways.</summary>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>Registers beside the plain ones that are no other element of the state.</summary>
    private static readonly uint[] NamedMsrs =
    [
        Msr.Tsc, Msr.SysenterCs, Msr.SysenterEsp, Msr.SysenterEip, Msr.TscDeadline, Msr.KvmWallClock, Msr.KvmSystemTime, Msr.Star,
        Msr.Lstar, Msr.Cstar, Msr.SyscallMask, Msr.KernelGsBase, Msr.TscAux,
    ];

    /// <summary>Registers that <see cref="Restore"/> takes with a value.</summary>
    public static MsrSet Msrs => field ??= new MsrSet(
        [.. NamedMsrs, .. PlainMsrs.Indices, .. PlainMsrs.Dispensable, Msr.KvmWallClockOld, Msr.KvmSystemTimeOld,
            Msr.Efer, Msr.ApicBase, Msr.FsBase, Msr.GsBase]);

    // MXCSR in the legacy area (SDM vol. 1 table 10-2).
    private const int MxcsrOffset = 24;

    /// <summary>Registers of a restored state that this processor has not; they are kept for the next one.</summary>
    private readonly List<MsrValue> _foreignMsrs = [];

    private HashSet<uint>? _restoredMsrs;

    public VcpuState Save()
    {
        // Processors stop one after the other, and what a later one has said to this one is part of its state.
        TakeSignals();
        Cpu* c = _c;
        List<MsrValue> msrs = [];
        foreach (uint index in NamedMsrs.Concat(_plainMsrs.Keys))
        {
            // A restored state goes back with the registers that it came with, and others only when they hold
            // something that is nowhere else in the state.
            if (ReadMsr(index, out ulong value)
                && (_restoredMsrs is null || _restoredMsrs.Contains(index)
                    || (value != PlainMsrs.DefaultOf(index) && index is not (Msr.Efer or Msr.FsBase or Msr.GsBase))))
            {
                msrs.Add(new MsrValue(index, value));
            }
        }

        msrs.AddRange(_foreignMsrs);

        msrs.Sort(static (a, b) => a.Index.CompareTo(b.Index));
        byte[] xsave = new byte[FpuState.AreaBytes];
        fixed (byte* p = xsave)
        {
            FpuState.SaveAll(c, p, xsave.Length);
        }

        long now = HostClock.Now;
        msrs[msrs.FindIndex(m => m.Index == Msr.Tsc)] = new MsrValue(Msr.Tsc, Scale(now) + _tscOffset);

        return new VcpuState
        {
            Cpuid = _cpuid,
            MpState = _mp,
            General = SaveGeneral(),
            System = SystemRegistersForm.Normalize(WithCpl(SaveSystem())),
            Xsave = XsaveArea.Normalize(xsave, _cpuid),
            Xcr0 = c->Xcr0,
            DebugAddresses = [c->Dr[0], c->Dr[1], c->Dr[2], c->Dr[3]],
            Dr6 = c->Dr[6],
            Dr7 = c->Dr[7],
            Lapic = [.. Apic.SavePage()],
            Msrs = [.. msrs],
            TscKhz = _tscKhz,
            TscTimestamp = (ulong)now,
            Events = SaveEvents(),
        };
    }

    public void Restore(VcpuState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        Cpu* c = _c;
        if (!state.Cpuid.Equals(_cpuid))
        {
            throw new HypervisorException($"soft: vCPU {Index}: the saved CPUID is not the one this vCPU was created with");
        }

        if (state.Xsave.Length < XsaveArea.MinBytes || state.Lapic.Length < 1024 || state.DebugAddresses.Length != 4)
        {
            throw new HypervisorException($"soft: vCPU {Index}: the XSAVE area, the APIC page or the debug registers are of a wrong size");
        }

        if ((state.Xcr0 & ~c->XcrSupported) != 0)
        {
            throw new HypervisorException($"soft: vCPU {Index}: XCR0 0x{state.Xcr0:x} names register state that this processor does not have");
        }

        byte[] xsave = new byte[FpuState.AreaBytes];
        ulong without = XsaveArea.Place(state.Xsave.AsSpan(), _cpuid, _cpuid, xsave);
        if (without != 0)
        {
            throw new HypervisorException($"soft: vCPU {Index}: the XSAVE area holds components 0x{without:x} that this processor does not have");
        }

        uint mxcsr = BitConverter.ToUInt32(state.Xsave.AsSpan()[MxcsrOffset..]);
        if ((mxcsr & ~FpuState.MxcsrMask) != 0)
        {
            throw new HypervisorException($"soft: vCPU {Index}: MXCSR 0x{mxcsr:x} uses what this processor does not have");
        }

        _restoredAt = HostClock.Now;
        ResetMsrs();
        SetTscKhz(state.TscKhz);
        ApplySystem(state.System);
        ApplyGeneral(state.General);
        c->Xcr0 = state.Xcr0;
        for (int i = 0; i < 4; i++)
        {
            c->Dr[i] = state.DebugAddresses[i];
        }

        c->Dr[6] = state.Dr6;
        c->Dr[7] = state.Dr7;
        UpdateWatch(c);
        fixed (byte* p = xsave)
        {
            FpuState.RestoreAll(c, p, xsave.Length);
        }

        Apic.RestorePage(state.Lapic.AsSpan());
        _foreignMsrs.Clear();
        _restoredMsrs = [];
        foreach (MsrValue msr in state.Msrs.OrderBy(m => m.Index == Msr.TscDeadline))
        {
            _restoredMsrs.Add(msr.Index);
            if (!RestoreMsr(msr))
            {
                throw new HypervisorException($"soft: vCPU {Index}: MSR 0x{msr.Index:x} does not take 0x{msr.Value:x}");
            }
        }

        RestoreEvents(state.Events);
        _mp = state.MpState;

        // A kick that came between a look at a lock and the halt has no place in the state: the guest looks again, once for nothing perhaps.
        _unhalt = _mp == MpState.Runnable && state.Cpuid.TryGet(SoftCpuid.KvmFeatureLeaf, 0, out CpuidEntry kvm)
            && (kvm.Eax & SoftCpuid.KvmUnhalt) != 0 ? 1 : 0;
        Mmu.FlushAll(c);
        UpdateMode();
        Interlocked.Or(ref c->Attention, AttentionBits.Interrupt);
    }

    /// <summary>0 means this processor's own frequency.</summary>
    public void SetTscKhz(uint khz) => _tscKhz = khz != 0 ? khz : DefaultTscKhz;

    /// <summary>A register that this processor lacks is taken when it holds nothing.</summary>
    private bool RestoreMsr(MsrValue msr)
    {
        if (msr.Index is Msr.Efer or Msr.ApicBase)
        {
            // Applied with the system registers.
            return true;
        }

        if (PlainMsrs.IsReadOnly(msr.Index) || msr.Index == PlainMsrs.MicrocodeRevision)
        {
            _plainMsrs[msr.Index] = msr.Value;
            return true;
        }

        if (msr.Index == Msr.Tsc)
        {
            ulong scaled = Scale(HostClock.Now);
            if (_partition.FirstWithTsc(Index, msr.Value, scaled, _tscKhz) is { } first)
            {
                // One that comes late has its times from when the first one has them: a pause takes both out of time.
                (_tscOffset, _restoredAt) = (first.TscOffset, first.RestoredAt);
                return true;
            }

            _tscOffset = _partition.TscOffset(Index, msr.Value, scaled, _tscKhz);
            return true;
        }

        if (WriteMsr(msr.Index, msr.Value))
        {
            if (Array.IndexOf(NamedMsrs, msr.Index) < 0 && !_plainMsrs.ContainsKey(msr.Index))
            {
                // Another name of a register that is saved under its first one.
                _foreignMsrs.Add(msr);
            }

            return true;
        }

        if (msr.Value != 0 && msr.Policy != MsrPolicy.Offer && !PlainMsrs.IsDispensable(msr.Index))
        {
            return false;
        }

        _foreignMsrs.Add(msr);
        return true;
    }

    /// <summary>Hardware takes the CPL from the DPL of SS, also where SS is null.</summary>
    private SystemRegisters WithCpl(SystemRegisters system) => system with
    {
        Ss = system.Ss with { Attributes = (system.Ss.Attributes & ~0x60u) | ((uint)_c->Cpl << 5) },
    };

    private GeneralRegisters SaveGeneral()
    {
        ulong* r = _c->R;
        return new GeneralRegisters
        {
            Rax = r[0],
            Rcx = r[1],
            Rdx = r[2],
            Rbx = r[3],
            Rsp = r[4],
            Rbp = r[5],
            Rsi = r[6],
            Rdi = r[7],
            R8 = r[8],
            R9 = r[9],
            R10 = r[10],
            R11 = r[11],
            R12 = r[12],
            R13 = r[13],
            R14 = r[14],
            R15 = r[15],
            Rip = r[17],
            Rflags = StatusFlags.GetRflags(_c),
        };
    }

    private void ApplyGeneral(GeneralRegisters g)
    {
        ulong* r = _c->R;
        r[0] = g.Rax;
        r[1] = g.Rcx;
        r[2] = g.Rdx;
        r[3] = g.Rbx;
        r[4] = g.Rsp;
        r[5] = g.Rbp;
        r[6] = g.Rsi;
        r[7] = g.Rdi;
        r[8] = g.R8;
        r[9] = g.R9;
        r[10] = g.R10;
        r[11] = g.R11;
        r[12] = g.R12;
        r[13] = g.R13;
        r[14] = g.R14;
        r[15] = g.R15;
        r[17] = g.Rip;
        StatusFlags.Set(_c, g.Rflags);
        _c->Flags = g.Rflags & 0x3f_7700;
        UpdateMode();
    }

    private SegmentRegister SaveSegment(int n) => new()
    {
        Base = Segments.Base(_c, n),
        Limit = _c->Limit[n],
        Selector = _c->Selector[n],
        Attributes = _c->Attributes[n],
    };

    private SystemRegisters SaveSystem()
    {
        Cpu* c = _c;
        return new SystemRegisters
        {
            Cs = SaveSegment(Segments.CS),
            Ds = SaveSegment(Segments.DS),
            Es = SaveSegment(Segments.ES),
            Fs = SaveSegment(Segments.FS),
            Gs = SaveSegment(Segments.GS),
            Ss = SaveSegment(Segments.SS),
            Tr = SaveSegment(Cpu.Tr),
            Ldt = SaveSegment(Cpu.Ldtr),
            Gdt = new DescriptorTable(c->GdtBase, (ushort)c->GdtLimit),
            Idt = new DescriptorTable(c->IdtBase, (ushort)c->IdtLimit),
            Cr0 = c->Cr0,
            Cr2 = c->Cr2,
            Cr3 = c->Cr3,
            Cr4 = c->Cr4,
            Cr8 = Apic.TaskPriorityClass,
            Efer = c->Efer,
            ApicBase = Apic.BaseMsr,
        };
    }

    private void ApplySystem(SystemRegisters s)
    {
        Cpu* c = _c;
        void Apply(int n, SegmentRegister v) => Segments.Set(_c, n, v.Selector, v.Base, v.Limit, v.Attributes);
        Apply(Segments.CS, s.Cs);
        Apply(Segments.DS, s.Ds);
        Apply(Segments.ES, s.Es);
        Apply(Segments.FS, s.Fs);
        Apply(Segments.GS, s.Gs);
        Apply(Segments.SS, s.Ss);
        Apply(Cpu.Tr, s.Tr);
        Apply(Cpu.Ldtr, s.Ldt);
        c->GdtBase = s.Gdt.Base;
        c->GdtLimit = s.Gdt.Limit;
        c->IdtBase = s.Idt.Base;
        c->IdtLimit = s.Idt.Limit;
        c->Cr0 = s.Cr0 | ControlBits.CR0_ET;
        c->Cr2 = s.Cr2;
        c->Cr3 = s.Cr3;
        c->Cr4 = s.Cr4;
        c->Efer = s.Efer;
        Apic.RestoreBase(s.ApicBase);
        Apic.TaskPriorityClass = (byte)s.Cr8;
        Mmu.FlushAll(c);
        UpdateMode();
    }

    /// <summary>
    /// KVM_HC_KICK_CPU: ends a halt although no interrupt came, the next one if there is none now: a processor that has looked at a lock
    /// and is about to halt must not miss that the lock has been given up meanwhile.
    /// </summary>
    public void Unhalt()
    {
        Interlocked.Exchange(ref _unhalt, 1);
        RaiseAttention(AttentionBits.Signal);
    }

    private int _unhalt;

    /// <summary>Host time of the last <see cref="Restore"/>.</summary>
    private long _restoredAt = long.MinValue;
}
