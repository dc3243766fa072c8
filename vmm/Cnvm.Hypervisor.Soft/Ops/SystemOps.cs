using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>
/// Operations of the system that are worth no fast path: each calls the vCPU and, where translation or interrupts may be
/// affected, ends the block.
/// </summary>
internal static unsafe class SystemOps
{
    public static nint Cpuid(Cpu* c, Op* op)
    {
        SoftVcpu.Of(c).Cpuid();
        return op[1].Fn(c, op + 1);
    }

    public static nint Rdtsc(Cpu* c, Op* op)
    {
        if ((c->Cr4 & ControlBits.CR4_TSD) != 0 && c->Cpl != 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        ulong tsc = SoftVcpu.Of(c).ReadTsc();
        c->R[0] = (uint)tsc;
        c->R[2] = tsc >> 32;
        if (op->Imm == 1)
        {
            c->R[1] = (uint)c->TscAux;
        }

        return op[1].Fn(c, op + 1);
    }

    public static nint Rdpid(Cpu* c, Op* op)
    {
        *(ulong*)((byte*)c + op->Dst) = c->TscAux;
        return op[1].Fn(c, op + 1);
    }

    public static nint Rdmsr(Cpu* c, Op* op)
    {
        if (c->Cpl != 0 || !SoftVcpu.Of(c).ReadMsr((uint)c->R[1], out ulong value))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        c->R[0] = (uint)value;
        c->R[2] = value >> 32;
        return op[1].Fn(c, op + 1);
    }

    public static nint Wrmsr(Cpu* c, Op* op)
    {
        if (c->Cpl != 0 || !SoftVcpu.Of(c).WriteMsr((uint)c->R[1], (c->R[2] << 32) | (uint)c->R[0]))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        return Operand.Leave(c, op);
    }

    /// <summary>MOV r, CRn: n in Imm.</summary>
    public static nint ReadControl(Cpu* c, Op* op)
    {
        ulong v = op->Imm switch
        {
            0 => c->Cr0,
            2 => c->Cr2,
            3 => c->Cr3,
            4 => c->Cr4,
            _ => SoftVcpu.Of(c).Apic.TaskPriorityClass,
        };
        *(ulong*)((byte*)c + op->Dst) = Segments.Code64(c) ? v : (uint)v;
        return op[1].Fn(c, op + 1);
    }

    public static nint WriteControl(Cpu* c, Op* op)
    {
        ulong v = Operand.Src<ulong>(c, op);
        if (!SoftVcpu.Of(c).WriteControl((int)op->Imm, Segments.Code64(c) ? v : (uint)v))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        return Operand.Leave(c, op);
    }

    public static nint ReadDebug(Cpu* c, Op* op)
    {
        if (!MayAccessDebug(c, (int)op->Imm))
        {
            return Operand.Fault(c, op);
        }

        int n = (int)op->Imm;
        n = n is 4 or 5 ? n + 2 : n;
        *(ulong*)((byte*)c + op->Dst) = c->Dr[n];
        return op[1].Fn(c, op + 1);
    }

    public static nint WriteDebug(Cpu* c, Op* op)
    {
        if (!MayAccessDebug(c, (int)op->Imm))
        {
            return Operand.Fault(c, op);
        }

        int n = (int)op->Imm;
        n = n is 4 or 5 ? n + 2 : n;
        ulong v = Operand.Src<ulong>(c, op);
        v = Segments.Code64(c) ? v : (uint)v;
        if (n >= 6 && v >> 32 != 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        c->Dr[n] = n == 6 ? (v & 0xe00f) | 0xffff_0ff0 : n == 7 ? (v & 0xffff_2bff) | 0x400 : v;
        SoftVcpu.UpdateWatch(c);
        return Operand.Leave(c, op);
    }

    /// <summary>DR4 and DR5 exist without CR4.DE only, and DR7.GD guards them all; false with the exception described.</summary>
    private static bool MayAccessDebug(Cpu* c, int n)
    {
        if (n is 4 or 5 && (c->Cr4 & ControlBits.CR4_DE) != 0)
        {
            Mmu.RaiseNoError(c, Vectors.UD);
            return false;
        }

        if ((c->Dr[7] & Dr6.Dr7GeneralDetect) == 0)
        {
            return true;
        }

        // Unlike that of an instruction breakpoint, this fault's frame has RF set (SDM vol. 3 §17.3.1.1).
        c->Dr[6] |= Dr6.BD;
        c->Flags |= Rflags.RF;
        Mmu.RaiseNoError(c, Vectors.DB);
        return false;
    }

    public static nint Clts(Cpu* c, Op* op)
    {
        c->Cr0 &= ~ControlBits.CR0_TS;
        SoftVcpu.Of(c).UpdateMode();
        return Operand.Leave(c, op);
    }

    public static nint Lmsw(Cpu* c, Op* op)
    {
        // LMSW changes PE, MP, EM and TS, and cannot clear PE.
        ulong v = (Operand.Src<ulong>(c, op) & 15) | (c->Cr0 & ControlBits.CR0_PE);
        return SoftVcpu.Of(c).WriteControl(0, (c->Cr0 & ~15ul) | v) ? Operand.Leave(c, op) : Operand.Raise(c, op, Vectors.GP, 0);
    }

    public static nint Smsw(Cpu* c, Op* op)
    {
        if (Umip(c))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        byte* d = (byte*)c + op->Dst;
        switch (op->Scale)
        {
            case 2:
                *(ushort*)d = (ushort)c->Cr0;
                break;
            case 4:
                *(ulong*)d = (uint)c->Cr0;
                break;
            default:
                *(ulong*)d = c->Cr0;
                break;
        }

        return op[1].Fn(c, op + 1);
    }

    public static bool Umip(Cpu* c) => (c->Cr4 & ControlBits.CR4_UMIP) != 0 && c->Cpl != 0;

    public static nint Invlpg(Cpu* c, Op* op)
    {
        SoftVcpu.Of(c).InvalidatePage(Operand.Address(c, op));
        return Operand.Leave(c, op);
    }

    /// <summary>INVPCID: type in Src, descriptor at the address. All our translations belong to the current PCID.</summary>
    public static nint Invpcid(Cpu* c, Op* op)
    {
        if (!Mmu.Read(c, Operand.Address(c, op), 16))
        {
            return Operand.Fault(c, op);
        }

        ulong type = Operand.Src<ulong>(c, op);
        if (type > 3 || c->Data[0] > 0xfff || (type == 0 && !Mmu.IsCanonical(c->Data[1])))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        if (type == 2)
        {
            Mmu.FlushAll(c);
        }
        else
        {
            Mmu.FlushNonGlobal(c);
        }

        return Operand.Leave(c, op);
    }

    public static nint Hlt(Cpu* c, Op* op)
    {
        Operand.Leave(c, op);
        return Exit.Halt;
    }

    public static nint Pause(Cpu* c, Op* op)
    {
        // A spin-wait: let the thread look around, so that a lock's owner on the same host CPU gets on.
        c->Budget -= 64;
        return Operand.Leave(c, op);
    }

    public static nint Cli(Cpu* c, Op* op)
    {
        if ((ulong)c->Cpl > (c->Flags & Rflags.IOPL) >> 12)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        c->Flags &= ~Rflags.IF;
        return op[1].Fn(c, op + 1);
    }

    /// <summary>STI: the translator ends the block after the next instruction, so that one still runs undisturbed.</summary>
    public static nint Sti(Cpu* c, Op* op)
    {
        if ((ulong)c->Cpl > (c->Flags & Rflags.IOPL) >> 12)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        c->Flags |= Rflags.IF;
        SoftVcpu.NoticeInterrupts(c);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>STI whose next instruction is not in the block.</summary>
    public static nint StiLast(Cpu* c, Op* op)
    {
        if ((ulong)c->Cpl > (c->Flags & Rflags.IOPL) >> 12)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        if ((c->Flags & Rflags.IF) == 0)
        {
            c->Shadow = 2;
            Interlocked.Or(ref c->Attention, AttentionBits.Interrupt);
        }

        c->Flags |= Rflags.IF;
        return Operand.Leave(c, op);
    }

    /// <summary>CLAC (Imm 0) and STAC (Imm 1).</summary>
    public static nint AccessFlag(Cpu* c, Op* op)
    {
        if (c->Cpl != 0)
        {
            return Operand.Raise(c, op, Vectors.UD);
        }

        c->Flags = op->Imm != 0 ? c->Flags | Rflags.AC : c->Flags & ~Rflags.AC;
        Mmu.SelectTlb(c);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>RDPMC of the four counters that AMD processors always have; here they stand still (APM vol. 2 §13.2).</summary>
    public static nint Rdpmc(Cpu* c, Op* op)
    {
        if ((c->Cpl != 0 && (c->Cr4 & ControlBits.CR4_PCE) == 0) || (uint)c->R[1] > 3)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        c->R[0] = c->R[2] = 0;
        return op[1].Fn(c, op + 1);
    }

    /// <summary>VMCALL and VMMCALL: KVM's hypercalls (Documentation/virt/kvm/x86/hypercalls.rst).</summary>
    public static nint Hypercall(Cpu* c, Op* op)
    {
        // KVM takes the other vendor's instruction (VMCALL: Imm 1) at CPL 0 only.
        if (c->Cpl != 0 && (op->Imm == 1) != SoftVcpu.Of(c).IsIntel)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        SoftVcpu.Of(c).Hypercall();
        return op[1].Fn(c, op + 1);
    }

    public static nint Xgetbv(Cpu* c, Op* op)
    {
        if ((c->Cr4 & ControlBits.CR4_OSXSAVE) == 0)
        {
            return Operand.Raise(c, op, Vectors.UD);
        }

        if ((uint)c->R[1] > 1)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        ulong v = (uint)c->R[1] == 0 ? c->Xcr0 : c->Xcr0 & FpuState.InUse(c);
        c->R[0] = (uint)v;
        c->R[2] = v >> 32;
        return op[1].Fn(c, op + 1);
    }

    public static nint Xsetbv(Cpu* c, Op* op)
    {
        if ((c->Cr4 & ControlBits.CR4_OSXSAVE) == 0)
        {
            return Operand.Raise(c, op, Vectors.UD);
        }

        ulong v = (c->R[2] << 32) | (uint)c->R[0];
        if (c->Cpl != 0 || (uint)c->R[1] != 0 || (v & 1) == 0 || (v & ~c->XcrSupported) != 0 || (v & 6) == 4)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        c->Xcr0 = v;
        SoftVcpu.Of(c).UpdateMode();
        return Operand.Leave(c, op);
    }

    /// <summary>RD/WR FS/GS BASE: Imm bit 0 GS, bit 1 write; Scale: operand size.</summary>
    public static nint SegmentBase(Cpu* c, Op* op)
    {
        if ((c->Cr4 & ControlBits.CR4_FSGSBASE) == 0)
        {
            return Operand.Raise(c, op, Vectors.UD);
        }

        ulong* slot = c->R + ((op->Imm & 1) != 0 ? 23 : 22);
        if ((op->Imm & 2) == 0)
        {
            *(ulong*)((byte*)c + op->Dst) = op->Scale == 4 ? (uint)*slot : *slot;
            return op[1].Fn(c, op + 1);
        }

        ulong v = op->Scale == 4 ? Operand.Src<uint>(c, op) : Operand.Src<ulong>(c, op);
        if (!Mmu.IsCanonical(v))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        *slot = v;
        return op[1].Fn(c, op + 1);
    }

    public static nint Swapgs(Cpu* c, Op* op)
    {
        if (c->Cpl != 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        (c->KernelGsBase, c->R[23]) = (c->R[23], c->KernelGsBase);
        return op[1].Fn(c, op + 1);
    }
}
