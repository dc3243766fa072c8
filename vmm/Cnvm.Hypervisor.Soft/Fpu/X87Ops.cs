using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>x87 arithmetic and moves. Memory operands lie in the vector temporary, loaded before or stored after.</summary>
internal static unsafe partial class X87Ops
{
    private const int ErrorSummary = 0x80;
    private const int Busy = 0x8000;
    private const int StackFault = 0x41;
    private const int C0 = 0x100;
    private const int C1 = 0x200;
    private const int C2 = 0x400;
    private const int C3 = 0x4000;

    private static int Physical(Cpu* c, int i) => (c->FpuTop + i) & 7;

    private static bool IsEmpty(Cpu* c, int i) => (c->FpuValid & (1 << Physical(c, i))) == 0;

    /// <summary>ST(i); an empty register is a stack fault and reads as the default NaN.</summary>
    private static Float80 Get(Cpu* c, int i)
    {
        if (IsEmpty(c, i))
        {
            c->FpuStatus &= unchecked((ushort)~C1);
            Signal(c, StackFault);
            return Float80.DefaultNan;
        }

        int p = Physical(c, i);
        return new Float80(c->Fpr[p * 2], (ushort)c->Fpr[(p * 2) + 1]);
    }

    private static void Set(Cpu* c, int i, Float80 v)
    {
        int p = Physical(c, i);
        c->Fpr[p * 2] = v.Significand;
        c->Fpr[(p * 2) + 1] = v.SignExponent;
        c->FpuValid |= (byte)(1 << p);
    }

    private static void Push(Cpu* c, Float80 v)
    {
        c->FpuTop = (c->FpuTop - 1) & 7;
        if (!IsEmpty(c, 0))
        {
            c->FpuStatus |= C1;
            Signal(c, StackFault);
            v = Float80.DefaultNan;
        }

        Set(c, 0, v);
    }

    private static void Pop(Cpu* c)
    {
        c->FpuValid &= (byte)~(1 << c->FpuTop);
        c->FpuTop = (c->FpuTop + 1) & 7;
    }

    /// <summary>Raises status bits; an unmasked exception is reported by the next waiting instruction.</summary>
    private static void Signal(Cpu* c, int flags)
    {
        c->FpuStatus |= (ushort)flags;
        Summarize(c);
    }

    private static void Summarize(Cpu* c)
    {
        bool pending = (c->FpuStatus & ~c->FpuControl & 0x3f) != 0;
        c->FpuStatus = (ushort)(pending ? c->FpuStatus | ErrorSummary | Busy : c->FpuStatus & ~(ErrorSummary | Busy));
    }

    private static void Finish(Cpu* c, ref Float80Math math)
    {
        c->FpuStatus = (ushort)(math.RoundedUp ? c->FpuStatus | C1 : c->FpuStatus & ~C1);
        Signal(c, math.Flags);
    }

    /// <summary>Reports a pending exception before an instruction that waits.</summary>
    public static nint Wait(Cpu* c, Op* op) =>
        (c->FpuStatus & ErrorSummary) != 0 ? Operand.Raise(c, op, Vectors.MF) : op[1].Fn(c, op + 1);

    /// <summary>The operand that <paramref name="kind"/> names: a register, or what was loaded into the temporary.</summary>
    private static Float80 Fetch(Cpu* c, X87Source kind, int i)
    {
        switch (kind)
        {
            case X87Source.Single:
                return Float80.FromSingle((uint)c->VectorTemp[0]);
            case X87Source.Double:
                return Float80.FromDouble(c->VectorTemp[0]);
            case X87Source.Int16:
                return Float80.FromInteger((short)c->VectorTemp[0]);
            case X87Source.Int32:
                return Float80.FromInteger((int)c->VectorTemp[0]);
            case X87Source.Int64:
                return Float80.FromInteger((long)c->VectorTemp[0]);
            case X87Source.Extended:
                return new Float80(c->VectorTemp[0], (ushort)c->VectorTemp[1]);
            default:
                return Get(c, i);
        }
    }

    /// <summary>Loads 10 bytes into the temporary.</summary>
    public static nint LoadExtended(Cpu* c, Op* op)
    {
        if (!Mmu.Read(c, Operand.Address(c, op), 10))
        {
            return Operand.Fault(c, op);
        }

        c->VectorTemp[0] = c->Data[0];
        c->VectorTemp[1] = (ushort)c->Data[1];
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Keeps the operand's address for a later operation.</summary>
    public static nint FormAddress(Cpu* c, Op* op)
    {
        Operand.R(c, Cpu.AddressSlot, Operand.Address(c, op));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>FLD, FILD: source in Scale, register in Disp.</summary>
    public static nint Load(Cpu* c, Op* op)
    {
        X87Source kind = (X87Source)op->Scale;
        Float80 v = Fetch(c, kind, op->Disp);
        if (kind is X87Source.Single or X87Source.Double && v.IsSignalingNan)
        {
            Signal(c, Float80Math.Invalid);
            v = v.Quieted;
        }

        c->FpuStatus &= unchecked((ushort)~C1);
        Push(c, v);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Stores ST(0): kind in Scale, Imm: bit 0 pop, bit 1 truncate.</summary>
    public static nint Store(Cpu* c, Op* op)
    {
        X87Source kind = (X87Source)op->Scale;
        Float80 v = Get(c, 0);
        Float80Math math = new(c->FpuControl);
        bool truncate = (op->Imm & 2) != 0;
        int size = 8;
        switch (kind)
        {
            case X87Source.Single:
                c->Data[0] = math.Narrow(v, 23, 8);
                size = 4;
                break;
            case X87Source.Double:
                c->Data[0] = math.Narrow(v, 52, 11);
                break;
            case X87Source.Int16:
                c->Data[0] = (ulong)math.ToInteger(v, 16, truncate);
                size = 2;
                break;
            case X87Source.Int32:
                c->Data[0] = (ulong)math.ToInteger(v, 32, truncate);
                size = 4;
                break;
            case X87Source.Int64:
                c->Data[0] = (ulong)math.ToInteger(v, 64, truncate);
                break;
            default:
                c->Data[0] = v.Significand;
                c->Data[1] = v.SignExponent;
                size = 10;
                break;
        }

        if (!Mmu.Write(c, Operand.Address(c, op), size))
        {
            return Operand.Fault(c, op);
        }

        Finish(c, ref math);
        if ((op->Imm & 1) != 0)
        {
            Pop(c);
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>FST and FSTP to a register: Disp; Imm bit 0 pop.</summary>
    public static nint StoreRegister(Cpu* c, Op* op)
    {
        Set(c, op->Disp, Get(c, 0));
        if ((op->Imm & 1) != 0)
        {
            Pop(c);
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>Two-operand arithmetic: Imm is <see cref="X87Arithmetic"/>, destination register Dst, source kind Scale and register Disp, Src: pops.</summary>
    public static nint Arithmetic(Cpu* c, Op* op)
    {
        Float80 a = Get(c, op->Dst);
        Float80 b = Fetch(c, (X87Source)op->Scale, op->Disp);
        Float80Math math = new(c->FpuControl);
        Float80 r = (X87Arithmetic)op->Imm switch
        {
            X87Arithmetic.Add => math.Add(a, b),
            X87Arithmetic.Multiply => math.Multiply(a, b),
            X87Arithmetic.Subtract => math.Subtract(a, b),
            X87Arithmetic.SubtractReversed => math.Subtract(b, a),
            X87Arithmetic.Divide => math.Divide(a, b),
            _ => math.Divide(b, a),
        };
        Set(c, op->Dst, r);
        Finish(c, ref math);
        if (op->Src != 0)
        {
            Pop(c);
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>Comparisons: Scale and Disp name the operand; Imm: bit 0 unordered, bit 1 result into RFLAGS; Src: pops.</summary>
    public static nint Compare(Cpu* c, Op* op)
    {
        Float80 a = Get(c, 0);
        Float80 b = (X87Source)op->Scale == X87Source.Zero ? default : Fetch(c, (X87Source)op->Scale, op->Disp);
        Float80Math math = new(c->FpuControl);
        int order = math.Compare(a, b, (op->Imm & 1) == 0);
        if ((op->Imm & 2) != 0)
        {
            StatusFlags.Set(c, order == 2 ? Rflags.ZF | Rflags.PF | Rflags.CF : order == 0 ? Rflags.ZF : order < 0 ? Rflags.CF : 0);
            c->FpuStatus &= unchecked((ushort)~C1);
        }
        else
        {
            int codes = order == 2 ? C0 | C2 | C3 : order == 0 ? C3 : order < 0 ? C0 : 0;
            c->FpuStatus = (ushort)((c->FpuStatus & ~(C0 | C1 | C2 | C3)) | codes);
        }

        Signal(c, math.Flags);
        for (int i = 0; i < op->Src; i++)
        {
            Pop(c);
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>FCMOVcc: condition in Imm, register in Disp.</summary>
    public static nint ConditionalMove(Cpu* c, Op* op)
    {
        Float80 v = Get(c, op->Disp);
        if (StatusFlags.Condition(c, (int)op->Imm))
        {
            Set(c, 0, v);
        }

        return op[1].Fn(c, op + 1);
    }

    public static nint Exchange(Cpu* c, Op* op)
    {
        Float80 a = Get(c, 0);
        Float80 b = Get(c, op->Disp);
        Set(c, 0, b);
        Set(c, op->Disp, a);
        c->FpuStatus &= unchecked((ushort)~C1);
        return op[1].Fn(c, op + 1);
    }
}

/// <summary>Where an x87 operand comes from or goes to.</summary>
internal enum X87Source
{
    Register,
    Single,
    Double,
    Extended,
    Int16,
    Int32,
    Int64,
    Zero,
}

internal enum X87Arithmetic
{
    Add,
    Multiply,
    Subtract,
    SubtractReversed,
    Divide,
    DivideReversed,
}
