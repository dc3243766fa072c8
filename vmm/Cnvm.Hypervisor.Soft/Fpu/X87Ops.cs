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

    /// <summary>ST(i), whatever its tag says.</summary>
    private static Float80 Get(Cpu* c, int i)
    {
        int p = Physical(c, i);
        return new Float80(c->Fpr[p * 2], (ushort)c->Fpr[(p * 2) + 1]);
    }

    /// <summary>Notes a stack fault; true when it is masked, and the instruction goes on with the default NaN.</summary>
    private static bool StackFaulted(Cpu* c, bool overflow)
    {
        c->FpuStatus = (ushort)((c->FpuStatus & ~C1) | (overflow ? C1 : 0));
        Signal(c, StackFault);
        return (c->FpuControl & Float80Math.Invalid) != 0;
    }

    /// <summary>
    /// Notes the exceptions of a calculation and C1; false when one that precedes the result is not masked: nothing is stored then,
    /// and the stack stays.
    /// </summary>
    private static bool Accept(Cpu* c, ref Float80Math math)
    {
        const int Before = Float80Math.Invalid | Float80Math.Denormal | Float80Math.ZeroDivide;
        bool refused = (math.Flags & ~c->FpuControl & Before) != 0;
        c->FpuStatus = (ushort)(math.RoundedUp && !refused ? c->FpuStatus | C1 : c->FpuStatus & ~C1);
        Signal(c, refused ? math.Flags & Before : math.Flags);
        return !refused;
    }

    private static void Set(Cpu* c, int i, Float80 v)
    {
        int p = Physical(c, i);
        c->Fpr[p * 2] = v.Significand;
        c->Fpr[(p * 2) + 1] = v.SignExponent;
        c->FpuValid |= (byte)(1 << p);
    }

    /// <summary>Pushes; a register that is not empty is a stack fault. False when that is not masked.</summary>
    private static bool Push(Cpu* c, Float80 v)
    {
        if (!IsEmpty(c, 7))
        {
            if (!StackFaulted(c, overflow: true))
            {
                return false;
            }

            v = Float80.DefaultNan;
        }

        c->FpuTop = (c->FpuTop - 1) & 7;
        Set(c, 0, v);
        return true;
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
            case X87Source.Decimal:
                return PackedDecimal.ToExtended(c->VectorTemp[0], (ushort)c->VectorTemp[1]);
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
        bool emptySource = kind == X87Source.Register && IsEmpty(c, op->Disp);
        if (!IsEmpty(c, 7) || emptySource)
        {
            // An empty source comes first.
            if (StackFaulted(c, overflow: !emptySource))
            {
                c->FpuTop = (c->FpuTop - 1) & 7;
                Set(c, 0, Float80.DefaultNan);
            }

            return op[1].Fn(c, op + 1);
        }

        Float80 v = Fetch(c, kind, op->Disp);
        Float80Math math = new(c->FpuControl);
        if (kind is X87Source.Single or X87Source.Double)
        {
            bool denormal = kind == X87Source.Single
                ? FloatFormat.Single.IsDenormal((uint)c->VectorTemp[0]) : FloatFormat.Double.IsDenormal(c->VectorTemp[0]);
            math.Flags = v.IsSignalingNan ? Float80Math.Invalid : denormal ? Float80Math.Denormal : 0;
            v = v.IsSignalingNan ? v.Quieted : v;
        }

        if (Accept(c, ref math))
        {
            Push(c, v);
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>Stores ST(0): kind in Scale, Imm: bit 0 pop, bit 1 truncate.</summary>
    public static nint Store(Cpu* c, Op* op)
    {
        X87Source kind = (X87Source)op->Scale;
        Float80Math math = new(c->FpuControl);
        bool empty = IsEmpty(c, 0);
        int size = StoreValue(c, kind, empty ? Float80.DefaultNan : Get(c, 0), (op->Imm & 2) != 0, ref math);
        if (empty)
        {
            math.Flags = StackFault;
        }

        const int KeepsBack = Float80Math.Invalid | Float80Math.Overflow | Float80Math.Underflow;
        bool refused = (math.Flags & ~c->FpuControl & KeepsBack) != 0;
        if (!refused && !Mmu.Write(c, Operand.Address(c, op), size))
        {
            return Operand.Fault(c, op);
        }

        c->FpuStatus = (ushort)(math.RoundedUp && !refused ? c->FpuStatus | C1 : c->FpuStatus & ~C1);
        Signal(c, math.Flags);
        if ((op->Imm & 1) != 0 && !refused)
        {
            Pop(c);
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>Puts what is to be stored into the access buffer; its size.</summary>
    private static int StoreValue(Cpu* c, X87Source kind, Float80 v, bool truncate, ref Float80Math math)
    {
        switch (kind)
        {
            case X87Source.Single:
                c->Data[0] = math.Narrow(v, 23, 8);
                return 4;
            case X87Source.Double:
                c->Data[0] = math.Narrow(v, 52, 11);
                return 8;
            case X87Source.Int16:
                c->Data[0] = (ulong)math.ToInteger(v, 16, truncate);
                return 2;
            case X87Source.Int32:
                c->Data[0] = (ulong)math.ToInteger(v, 32, truncate);
                return 4;
            case X87Source.Int64:
                c->Data[0] = (ulong)math.ToInteger(v, 64, truncate);
                return 8;
            case X87Source.Decimal:
                UInt128 digits = PackedDecimal.From(v, ref math);
                c->Data[0] = (ulong)digits;
                c->Data[1] = (ulong)(digits >> 64);
                return 10;
            default:
                c->Data[0] = v.Significand;
                c->Data[1] = v.SignExponent;
                return 10;
        }
    }

    /// <summary>FST and FSTP to a register: Disp; Imm bit 0 pop, bit 1 without stack faults (FSTPNCE).</summary>
    public static nint StoreRegister(Cpu* c, Op* op)
    {
        Float80 v = Get(c, 0);
        c->FpuStatus &= unchecked((ushort)~C1);
        bool empty = IsEmpty(c, 0);
        if (empty && (op->Imm & 2) == 0)
        {
            if (!StackFaulted(c, overflow: false))
            {
                return op[1].Fn(c, op + 1);
            }

            v = Float80.DefaultNan;
        }

        // FSTPNCE of an empty register only pops.
        if (!empty || (op->Imm & 2) == 0)
        {
            Set(c, op->Disp, v);
        }

        if ((op->Imm & 1) != 0)
        {
            Pop(c);
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>Two-operand arithmetic: Imm is <see cref="X87Arithmetic"/>, destination register Dst, source kind Scale and register
    /// Disp, Src: pops.</summary>
    public static nint Arithmetic(Cpu* c, Op* op)
    {
        if (!TryArithmetic(c, op, out Float80 r))
        {
            return op[1].Fn(c, op + 1);
        }

        Set(c, op->Dst, r);
        if (op->Src != 0)
        {
            Pop(c);
        }

        return op[1].Fn(c, op + 1);
    }

    private static bool TryArithmetic(Cpu* c, Op* op, out Float80 r)
    {
        X87Source kind = (X87Source)op->Scale;
        r = Float80.DefaultNan;
        if (IsEmpty(c, op->Dst) || (kind == X87Source.Register && IsEmpty(c, op->Disp)))
        {
            return StackFaulted(c, overflow: false);
        }

        Float80 a = Get(c, op->Dst);
        Float80 b = Fetch(c, kind, op->Disp);
        Float80Math math = new(c->FpuControl);
        r = (X87Arithmetic)op->Imm switch
        {
            X87Arithmetic.Add => math.Add(a, b),
            X87Arithmetic.Multiply => math.Multiply(a, b),
            X87Arithmetic.Subtract => math.Subtract(a, b),
            X87Arithmetic.SubtractReversed => math.Subtract(b, a),
            X87Arithmetic.Divide => math.Divide(a, b),
            _ => math.Divide(b, a),
        };
        NoteNarrowDenormal(c, kind, a, b, ref math);
        return Accept(c, ref math);
    }

    /// <summary>A denormal of a narrow format is one although its extended form is normal.</summary>
    private static void NoteNarrowDenormal(Cpu* c, X87Source kind, Float80 a, Float80 b, ref Float80Math math)
    {
        bool denormal = (kind == X87Source.Single && FloatFormat.Single.IsDenormal((uint)c->VectorTemp[0]))
            || (kind == X87Source.Double && FloatFormat.Double.IsDenormal(c->VectorTemp[0]));
        if (denormal && !a.IsNan && !a.IsUnsupported && !b.IsNan)
        {
            math.Flags |= Float80Math.Denormal;
        }
    }

    /// <summary>FCMOVcc: condition in Imm, register in Disp.</summary>
    public static nint ConditionalMove(Cpu* c, Op* op)
    {
        Float80 v = Get(c, op->Disp);
        bool move = StatusFlags.Condition(c, (int)op->Imm);
        if (IsEmpty(c, 0) || IsEmpty(c, op->Disp))
        {
            move = StackFaulted(c, overflow: false);
            v = Float80.DefaultNan;
        }

        if (move)
        {
            Set(c, 0, v);
        }

        return op[1].Fn(c, op + 1);
    }

    public static nint Exchange(Cpu* c, Op* op)
    {
        Float80 a = Get(c, 0);
        Float80 b = Get(c, op->Disp);
        c->FpuStatus &= unchecked((ushort)~C1);
        bool emptyA = IsEmpty(c, 0);
        bool emptyB = IsEmpty(c, op->Disp);
        if (emptyA || emptyB)
        {
            if (!StackFaulted(c, overflow: false))
            {
                return op[1].Fn(c, op + 1);
            }

            a = emptyA ? Float80.DefaultNan : a;
            b = emptyB ? Float80.DefaultNan : b;
        }

        Set(c, 0, b);
        Set(c, op->Disp, a);
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

    /// <summary>Eighteen decimal digits.</summary>
    Decimal,
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
