using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>Operations on RFLAGS.</summary>
internal static unsafe class FlagOps
{
    /// <summary>CLC (0), STC (1), CMC (2) by Imm.</summary>
    public static nint Carry(Cpu* c, Op* op)
    {
        ulong flags = StatusFlags.Get(c);
        StatusFlags.Set(c, op->Imm switch { 0 => flags & ~Rflags.CF, 1 => flags | Rflags.CF, _ => flags ^ Rflags.CF });
        return op[1].Fn(c, op + 1);
    }

    public static nint Cld(Cpu* c, Op* op)
    {
        c->Flags &= ~Rflags.DF;
        return op[1].Fn(c, op + 1);
    }

    public static nint Std(Cpu* c, Op* op)
    {
        c->Flags |= Rflags.DF;
        return op[1].Fn(c, op + 1);
    }

    public static nint Lahf(Cpu* c, Op* op)
    {
        *((byte*)c + 1) = (byte)((StatusFlags.Get(c) & 0xd5) | 2);
        return op[1].Fn(c, op + 1);
    }

    public static nint Sahf(Cpu* c, Op* op)
    {
        StatusFlags.Set(c, (StatusFlags.Get(c) & Rflags.OF) | (*((byte*)c + 1) & 0xd5ul));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>SALC: AL = CF ? 0xff : 0.</summary>
    public static nint Salc(Cpu* c, Op* op)
    {
        *(byte*)c = StatusFlags.Carry(c) ? (byte)0xff : (byte)0;
        return op[1].Fn(c, op + 1);
    }

    public static nint Pushf(Cpu* c, Op* op)
    {
        if (Segments.Vm86(c) && (c->Flags & Rflags.IOPL) != Rflags.IOPL)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        ulong flags = StatusFlags.GetRflags(c) & ~(Rflags.VM | Rflags.RF);
        return StackOps.Push(c, flags, op->Scale) ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);
    }

    public static nint Popf(Cpu* c, Op* op)
    {
        if (Segments.Vm86(c) && (c->Flags & Rflags.IOPL) != Rflags.IOPL)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        if (!StackOps.Pop(c, op->Scale))
        {
            return Operand.Fault(c, op);
        }

        Write(c, c->Data[0], op->Scale, keepResume: false);
        return Operand.Leave(c, op);
    }

    /// <summary>Writes RFLAGS as POPF and IRET do at the current privilege: IOPL at CPL 0 only, IF when IOPL allows.</summary>
    /// <remarks>RF ends with the next instruction, which only instruction breakpoints keep an eye on; without any it is not taken.</remarks>
    public static void Write(Cpu* c, ulong value, int size, bool keepResume)
    {
        ulong mask = Rflags.TF | Rflags.DF | Rflags.NT | Rflags.AC | Rflags.ID;
        if (keepResume && c->Watch != 0)
        {
            mask |= Rflags.RF;
        }

        if (c->Cpl == 0)
        {
            mask |= Rflags.IOPL;
        }

        if ((ulong)c->Cpl <= (c->Flags & Rflags.IOPL) >> 12)
        {
            mask |= Rflags.IF;
        }

        if (size == 2)
        {
            mask &= 0xffff;
        }

        StatusFlags.Set(c, value);
        c->Flags = (c->Flags & ~mask & ~Rflags.RF) | (value & mask);
        Mmu.SelectTlb(c);
        SoftVcpu.NoticeInterrupts(c);
    }

    public static nint Aaa(Cpu* c, Op* op)
    {
        // Imm: 0 AAA, 1 AAS, 2 DAA, 3 DAS, 4 AAM, 5 AAD (base in Src).
        byte* al = (byte*)c;
        byte* ah = al + 1;
        ulong flags = StatusFlags.Get(c);
        bool carry = (flags & Rflags.CF) != 0;
        bool adjust = (flags & Rflags.AF) != 0;
        byte old = *al;
        switch (op->Imm)
        {
            case 0 or 1:
                bool fix = (old & 15) > 9 || adjust;
                if (fix)
                {
                    *(ushort*)al = op->Imm == 0 ? (ushort)(*(ushort*)al + 0x106) : (ushort)(*(ushort*)al - 0x106);
                }

                *al &= 15;
                StatusFlags.SetMixed(c, *al, fix ? Rflags.CF | Rflags.AF : 0);
                break;
            case 2 or 3:
                ulong result = 0;
                int sign = op->Imm == 2 ? 1 : -1;
                if ((old & 15) > 9 || adjust)
                {
                    *al = (byte)(*al + (6 * sign));
                    result |= Rflags.AF;
                    if (op->Imm == 3 && (carry || old < 6))
                    {
                        result |= Rflags.CF;
                    }
                }

                if (old > 0x99 || carry)
                {
                    *al = (byte)(*al + (0x60 * sign));
                    result |= Rflags.CF;
                }

                StatusFlags.SetMixed(c, *al, result);
                break;
            case 4:
                if (op->Src == 0)
                {
                    return Operand.Raise(c, op, Vectors.DE);
                }

                *ah = (byte)(old / op->Src);
                *al = (byte)(old % op->Src);
                StatusFlags.SetMixed(c, *al, 0);
                break;
            default:
                *al = (byte)(old + (*ah * op->Src));
                *ah = 0;
                StatusFlags.SetMixed(c, *al, 0);
                break;
        }

        return op[1].Fn(c, op + 1);
    }
}
