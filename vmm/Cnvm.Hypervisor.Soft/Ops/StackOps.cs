using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>PUSH, POP, ENTER, LEAVE, near CALL and RET outside 64-bit mode, and stack access in any mode.</summary>
internal static unsafe class StackOps
{
    private const int Rsp = 4;
    private const int Rbp = 5;

    public static nint PushReg64(Cpu* c, Op* op)
    {
        ulong a = c->R[Rsp] - 8;
        TlbEntry* e = c->Tlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->WriteTag != ((a + 7) & Mmu.PageMask))
        {
            return PushSlow(c, op);
        }

        *(ulong*)(a + e->Addend) = Operand.Src<ulong>(c, op);
        c->R[Rsp] = a;
        return op[1].Fn(c, op + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint PushSlow(Cpu* c, Op* op) =>
        Push(c, Operand.Src<ulong>(c, op), 8) ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);

    public static nint PopReg64(Cpu* c, Op* op)
    {
        ulong a = c->R[Rsp];
        TlbEntry* e = c->Tlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->ReadTag != ((a + 7) & Mmu.PageMask))
        {
            return PopSlow(c, op);
        }

        c->R[Rsp] = a + 8;
        Operand.PutDst(c, op, *(ulong*)(a + e->Addend));
        return op[1].Fn(c, op + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint PopSlow(Cpu* c, Op* op)
    {
        if (!Pop(c, 8))
        {
            return Operand.Fault(c, op);
        }

        Operand.PutDst(c, op, c->Data[0]);
        return op[1].Fn(c, op + 1);
    }

    public static nint PushImm(Cpu* c, Op* op) => Push(c, (ulong)op->Imm, op->Scale) ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);

    /// <summary>Pushes Scale bytes of a register in any mode.</summary>
    public static nint PushReg(Cpu* c, Op* op) =>
        Push(c, Operand.Src<ulong>(c, op), op->Scale) ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);

    /// <summary>Pushes a selector.</summary>
    public static nint PushSegment(Cpu* c, Op* op) =>
        Push(c, c->Selector[op->Src], op->Scale) ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);

    /// <summary>Pops Scale bytes into a register in any mode.</summary>
    public static nint PopReg(Cpu* c, Op* op)
    {
        if (!Pop(c, op->Scale))
        {
            return Operand.Fault(c, op);
        }

        Store(c, op->Dst, c->Data[0], op->Scale);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>POP m: the address is formed with the stack pointer that POP leaves; Imm is the operand size.</summary>
    public static nint PopMemory(Cpu* c, Op* op)
    {
        ulong sp = c->R[Rsp];
        if (!Pop(c, (int)op->Imm))
        {
            return Operand.Fault(c, op);
        }

        ulong value = c->Data[0];
        ulong a = Operand.Address(c, op);
        c->Data[0] = value;
        if (!Mmu.Write(c, a, (int)op->Imm))
        {
            c->R[Rsp] = sp;
            return Operand.Fault(c, op);
        }

        return op[1].Fn(c, op + 1);
    }

    public static nint Leave64(Cpu* c, Op* op)
    {
        if (!Read(c, c->R[Rbp], 8))
        {
            return Operand.Fault(c, op);
        }

        c->R[Rsp] = c->R[Rbp] + 8;
        c->R[Rbp] = c->Data[0];
        return op[1].Fn(c, op + 1);
    }

    /// <summary>LEAVE with an operand of Scale bytes in any mode.</summary>
    public static nint Leave(Cpu* c, Op* op)
    {
        ulong sp = c->R[Rsp];
        SetPointer(c, c->R[Rbp]);
        if (!Pop(c, op->Scale))
        {
            c->R[Rsp] = sp;
            return Operand.Fault(c, op);
        }

        Store(c, Rbp * 8, c->Data[0], op->Scale);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>ENTER: frame size in Disp, nesting level in Imm, operand size in Scale.</summary>
    public static nint Enter(Cpu* c, Op* op)
    {
        int size = op->Scale;
        int level = (int)op->Imm & 31;
        ulong sp = c->R[Rsp];
        ulong bp = c->R[Rbp];
        if (!Push(c, bp, size))
        {
            return Operand.Fault(c, op);
        }

        ulong frame = c->R[Rsp];
        for (int i = 1; i <= level; i++)
        {
            ulong value = frame;
            if (i < level)
            {
                bp -= (uint)size;
                if (!Read(c, Linear(c, bp), size))
                {
                    c->R[Rsp] = sp;
                    return Operand.Fault(c, op);
                }

                value = c->Data[0];
            }

            if (!Push(c, value, size))
            {
                c->R[Rsp] = sp;
                return Operand.Fault(c, op);
            }
        }

        // The new top of the stack must take a write, although none is made (SDM vol. 2, ENTER).
        ulong top = Linear(c, c->R[Rsp] - (uint)op->Disp);
        if (!Check(c, top, size) || !Mmu.ProbeWrite(c, top, size))
        {
            c->R[Rsp] = sp;
            return Operand.Fault(c, op);
        }

        SetPointer(c, c->R[Rsp] - (uint)op->Disp);
        Store(c, Rbp * 8, frame, size);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>PUSHA / POPA with operands of Scale bytes.</summary>
    public static nint PushAll(Cpu* c, Op* op)
    {
        ulong sp = c->R[Rsp];
        for (int i = 0; i < 8; i++)
        {
            if (!Push(c, i == Rsp ? sp : c->R[i], op->Scale))
            {
                c->R[Rsp] = sp;
                return Operand.Fault(c, op);
            }
        }

        return op[1].Fn(c, op + 1);
    }

    public static nint PopAll(Cpu* c, Op* op)
    {
        ulong sp = c->R[Rsp];
        if (!Read(c, Linear(c, sp), op->Scale * 8))
        {
            return Operand.Fault(c, op);
        }

        for (int i = 7; i >= 0; i--)
        {
            if (i != Rsp)
            {
                byte* p = (byte*)c->Data + ((7 - i) * op->Scale);
                Store(c, i * 8, op->Scale == 2 ? *(ushort*)p : *(uint*)p, op->Scale);
            }
        }

        SetPointer(c, sp + (8u * op->Scale));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Near CALL outside 64-bit mode: operand size in Scale; target relative (Disp) or in Src when Imm is 1.</summary>
    public static nint CallLegacy(Cpu* c, Op* op)
    {
        ulong next = c->R[17] + op->NextDelta;
        ulong target = op->Imm == 1 ? Operand.Src<ulong>(c, op) : c->R[17] + (ulong)(long)op->Disp;
        if (!Push(c, next, op->Scale))
        {
            return Operand.Fault(c, op);
        }

        c->R[17] = Cut(target, op->Scale);
        c->Budget -= op->Count;
        c->InstructionCount += op->Count;
        return BranchOps.Dispatch(c, op);
    }

    /// <summary>Near RET outside 64-bit mode, or with a 16-bit operand.</summary>
    public static nint RetLegacy(Cpu* c, Op* op)
    {
        ulong sp = c->R[Rsp];
        if (!Pop(c, op->Scale))
        {
            return Operand.Fault(c, op);
        }

        if (IsBeyondCode(c, Cut(c->Data[0], op->Scale)))
        {
            c->R[Rsp] = sp;
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        SetPointer(c, c->R[Rsp] + (ulong)op->Imm);
        c->R[17] = Cut(c->Data[0], op->Scale);
        c->Budget -= op->Count;
        c->InstructionCount += op->Count;
        return BranchOps.Dispatch(c, op);
    }

    /// <summary>Near JMP to a register's value outside 64-bit mode.</summary>
    public static nint JumpRegLegacy(Cpu* c, Op* op)
    {
        ulong target = Cut(Operand.Src<ulong>(c, op), op->Scale);
        if (IsBeyondCode(c, target))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        c->R[17] = target;
        c->Budget -= op->Count;
        c->InstructionCount += op->Count;
        return BranchOps.Dispatch(c, op);
    }

    private static bool IsBeyondCode(Cpu* c, ulong rip) => rip > c->Limit[Segments.CS] && !Segments.Code64(c);

    public static ulong Cut(ulong v, int size) => size == 2 ? (ushort)v : size == 4 ? (uint)v : v;

    /// <summary>Width of the stack pointer: 8 in 64-bit mode, else by SS.B.</summary>
    public static int PointerSize(Cpu* c) =>
        (c->Attributes[1] & 0x2000) != 0 && (c->Efer & ControlBits.EFER_LMA) != 0 ? 8 : (c->Attributes[2] & 0x4000) != 0 ? 4 : 2;

    public static void SetPointer(Cpu* c, ulong sp)
    {
        int size = PointerSize(c);
        c->R[Rsp] = size == 8 ? sp : size == 4 ? (uint)sp : (c->R[Rsp] & ~0xfffful) | (ushort)sp;
    }

    /// <summary>Linear address of a stack offset.</summary>
    public static ulong Linear(Cpu* c, ulong offset)
    {
        int size = PointerSize(c);
        return size == 8 ? offset : (uint)(Cut(offset, size) + c->R[20]);
    }

    public static bool Push(Cpu* c, ulong value, int size)
    {
        ulong sp = c->R[Rsp] - (uint)size;
        if (!Permits(c, sp, size, write: true))
        {
            return false;
        }

        c->Data[0] = value;
        if (!Write(c, Linear(c, sp), size))
        {
            return false;
        }

        SetPointer(c, sp);
        return true;
    }

    /// <summary>Pops into Data[0], zero-extended.</summary>
    public static bool Pop(Cpu* c, int size)
    {
        ulong sp = c->R[Rsp];
        if (!Permits(c, sp, size, write: false))
        {
            return false;
        }

        c->Data[0] = 0;
        if (!Read(c, Linear(c, sp), size))
        {
            return false;
        }

        SetPointer(c, sp + (uint)size);
        return true;
    }

    /// <summary>Limit and type of SS, outside of 64-bit mode.</summary>
    private static bool Permits(Cpu* c, ulong sp, int size, bool write)
    {
        int pointer = PointerSize(c);
        return pointer == 8 || Segments.Permits(c, Segments.SS, Cut(sp, pointer), (uint)size, write);
    }

    public static bool Read(Cpu* c, ulong a, int size) => Check(c, a, size) && Mmu.Read(c, a, size);

    public static bool Write(Cpu* c, ulong a, int size) => Check(c, a, size) && Mmu.Write(c, a, size);

    private static bool Check(Cpu* c, ulong a, int size)
    {
        if ((c->Efer & ControlBits.EFER_LMA) != 0 && (!Mmu.IsCanonical(a) || !Mmu.IsCanonical(a + (uint)size - 1)))
        {
            Mmu.Raise(c, Vectors.SS, 0);
            return false;
        }

        return true;
    }

    private static void Store(Cpu* c, int offset, ulong v, int size)
    {
        if (size == 2)
        {
            *(ushort*)((byte*)c + offset) = (ushort)v;
        }
        else
        {
            *(ulong*)((byte*)c + offset) = Cut(v, size);
        }
    }
}
