using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Translation;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>
/// Ends of blocks. RIP in the state is that of the running block's start; a branch moves it to the next block's start, pays the
/// instructions it executed, and goes on in the next block unless somebody wants attention.
/// </summary>
internal static unsafe class BranchOps
{
    /// <summary>Direct jump by Disp from the block's start, in 64-bit mode, inside one page: the target block is remembered.</summary>
    public static nint Jump(Cpu* c, Op* op)
    {
        c->R[17] += (ulong)(long)op->Disp;
        c->Budget -= op->Count;
        c->InstructionCount += op->Count;
        Op* target = op->Target;
        if (target == null)
        {
            c->ExitOp = op;
            return Exit.Chain;
        }

        if ((c->Budget >> 31 | c->Attention) != 0)
        {
            return Exit.Lookup;
        }

        return target->Fn(c, target);
    }

    /// <summary>Direct jump to another page.</summary>
    public static nint JumpFar(Cpu* c, Op* op)
    {
        c->R[17] += (ulong)(long)op->Disp;
        c->Budget -= op->Count;
        c->InstructionCount += op->Count;
        return Dispatch(c, op);
    }

    /// <summary>Goes on at RIP, which is set; the caller has paid.</summary>
    public static nint Dispatch(Cpu* c, Op* op)
    {
        ulong a = c->R[17] + c->R[19];
        ExecEntry* e = c->ExecTlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->Tag != (a & Mmu.PageMask) || (c->Budget >> 31 | c->Attention) != 0)
        {
            return Exit.Lookup;
        }

        ulong key = e->Phys | (a & 0xfff) | c->ModeKey;
        JumpEntry* j = c->Jumps + JumpTable.Hash(key);
        if (j->Key != key)
        {
            return Exit.Lookup;
        }

        Op* first = j->First;
        return first->Fn(c, first);
    }

    public static nint Jcc<TCond>(Cpu* c, Op* op)
        where TCond : struct, ICondition
    {
        if (TCond.Test(c))
        {
            return op->Dst == 0 ? Jump(c, op) : JumpFar(c, op);
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>Branch of 16- and 32-bit code: RIP is cut to the operand size in Src (bytes).</summary>
    public static nint JumpLegacy(Cpu* c, Op* op)
    {
        ulong rip = c->R[17] + (ulong)(long)op->Disp;
        rip = op->Src == 2 ? (ushort)rip : (uint)rip;
        if (rip > c->Limit[Segments.CS] && !Segments.Code64(c))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        c->R[17] = rip;
        c->Budget -= op->Count;
        c->InstructionCount += op->Count;
        return Dispatch(c, op);
    }

    public static nint JccLegacy(Cpu* c, Op* op) =>
        StatusFlags.Condition(c, (int)op->Imm) ? JumpLegacy(c, op) : op[1].Fn(c, op + 1);

    /// <summary>JMP r64, with the target in Src.</summary>
    public static nint JumpReg(Cpu* c, Op* op)
    {
        c->Budget -= op->Count;
        c->InstructionCount += op->Count;
        c->R[17] = Operand.Src<ulong>(c, op);
        return Mmu.IsCanonical(c->R[17]) ? Dispatch(c, op) : BadTarget(c);
    }

    /// <summary>CALL rel: Imm is the chained target, Disp the distance from the block's start.</summary>
    public static nint Call(Cpu* c, Op* op)
    {
        ulong a = c->R[4] - 8;
        TlbEntry* e = c->Tlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->WriteTag != ((a + 7) & Mmu.PageMask))
        {
            return CallSlow(c, op);
        }

        *(ulong*)(a + e->Addend) = c->R[17] + op->NextDelta;
        c->R[4] = a;
        return op->Dst == 0 ? Jump(c, op) : JumpFar(c, op);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint CallSlow(Cpu* c, Op* op)
    {
        c->Data[0] = c->R[17] + op->NextDelta;
        if (!StackOps.Write(c, c->R[4] - 8, 8))
        {
            return Operand.Fault(c, op);
        }

        c->R[4] -= 8;
        return op->Dst == 0 ? Jump(c, op) : JumpFar(c, op);
    }

    /// <summary>CALL r64.</summary>
    public static nint CallReg(Cpu* c, Op* op)
    {
        ulong a = c->R[4] - 8;
        ulong target = Operand.Src<ulong>(c, op);
        TlbEntry* e = c->Tlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->WriteTag != ((a + 7) & Mmu.PageMask) || !Mmu.IsCanonical(target))
        {
            return CallRegSlow(c, op);
        }

        *(ulong*)(a + e->Addend) = c->R[17] + op->NextDelta;
        c->R[4] = a;
        c->R[17] = target;
        c->Budget -= op->Count;
        c->InstructionCount += op->Count;
        return Dispatch(c, op);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint CallRegSlow(Cpu* c, Op* op)
    {
        ulong target = Operand.Src<ulong>(c, op);
        if (!Mmu.IsCanonical(target))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        c->Data[0] = c->R[17] + op->NextDelta;
        if (!StackOps.Write(c, c->R[4] - 8, 8))
        {
            return Operand.Fault(c, op);
        }

        c->R[4] -= 8;
        c->R[17] = target;
        c->Budget -= op->Count;
        c->InstructionCount += op->Count;
        return Dispatch(c, op);
    }

    /// <summary>RET [imm16].</summary>
    public static nint Ret(Cpu* c, Op* op)
    {
        ulong a = c->R[4];
        TlbEntry* e = c->Tlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->ReadTag != ((a + 7) & Mmu.PageMask))
        {
            return RetSlow(c, op);
        }

        ulong target = *(ulong*)(a + e->Addend);
        if (!Mmu.IsCanonical(target))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        c->R[4] = a + 8 + (ulong)op->Imm;
        c->R[17] = target;
        c->Budget -= op->Count;
        c->InstructionCount += op->Count;
        return Dispatch(c, op);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint RetSlow(Cpu* c, Op* op)
    {
        if (!StackOps.Read(c, c->R[4], 8))
        {
            return Operand.Fault(c, op);
        }

        ulong target = c->Data[0];
        if (!Mmu.IsCanonical(target))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        c->R[4] += 8 + (ulong)op->Imm;
        c->R[17] = target;
        c->Budget -= op->Count;
        c->InstructionCount += op->Count;
        return Dispatch(c, op);
    }

    /// <summary>LOOP, LOOPE, LOOPNE, JrCXZ: Src is the counter's size; Imm: 0 LOOP, 1 LOOPE, 2 LOOPNE, 3 JrCXZ.</summary>
    public static nint Loop(Cpu* c, Op* op)
    {
        ulong mask = op->Src == 2 ? 0xffff : op->Src == 4 ? 0xffff_ffff : ulong.MaxValue;
        ulong count = c->R[1];
        if (op->Imm != 3)
        {
            ulong next = (count - 1) & mask;
            c->R[1] = count = op->Src == 2 ? (count & ~mask) | next : next;
        }

        bool taken = op->Imm switch
        {
            0 => (count & mask) != 0,
            1 => (count & mask) != 0 && StatusFlags.Zero(c),
            2 => (count & mask) != 0 && !StatusFlags.Zero(c),
            _ => (count & mask) == 0,
        };
        if (!taken)
        {
            return op[1].Fn(c, op + 1);
        }

        ulong rip = c->R[17] + (ulong)(long)op->Disp;
        c->R[17] = op->Dst == 2 ? (ushort)rip : op->Dst == 4 ? (uint)rip : rip;
        c->Budget -= op->Count;
        c->InstructionCount += op->Count;
        return Dispatch(c, op);
    }

    /// <summary>The block was given up: leave at this instruction's boundary.</summary>
    public static nint Stale(Cpu* c, Op* op)
    {
        c->R[17] += op->RipDelta;
        c->InstructionCount += op->Count - 1u;
        return Exit.Lookup;
    }

    private static nint BadTarget(Cpu* c)
    {
        Mmu.Raise(c, Vectors.GP, 0);
        return Exit.Exception;
    }
}
