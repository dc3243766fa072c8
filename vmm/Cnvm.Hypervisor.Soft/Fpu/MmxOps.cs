using System.Runtime.Intrinsics;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>
/// MMX: 64-bit registers in the x87 significands. Arithmetic is that of the 128-bit instructions on operands arranged so that
/// the low half of the result is right.
/// </summary>
internal static unsafe class MmxOps
{
    /// <summary>How operands are arranged for the 128-bit function.</summary>
    public const int Plain = 0;

    /// <summary>The source is the upper half of the first operand (packs, horizontal sums).</summary>
    public const int Joined = 1;

    /// <summary>Both operands are moved down by 32 bits (unpack high).</summary>
    public const int High = 2;

    /// <summary>Selectors are cut to eight bytes (PSHUFB).</summary>
    public const int Selector = 3;

    /// <summary>PALIGNR.</summary>
    public const int Aligned = 4;

    public static ushort Register(int n) => (ushort)(Cpu.FprOffset + (n * 16));

    /// <summary>Every MMX instruction empties nothing and makes all tags valid, TOP zero.</summary>
    private static void Enter(Cpu* c)
    {
        c->FpuTop = 0;
        c->FpuValid = 0xff;
    }

    private static void Put(Cpu* c, int offset, ulong v)
    {
        *(ulong*)((byte*)c + offset) = v;
        *(ulong*)((byte*)c + offset + 8) = 0xffff;
    }

    /// <summary>Function in Imm, immediate in Disp, arrangement in Scale.</summary>
    public static nint Apply(Cpu* c, Op* op)
    {
        Enter(c);
        ulong d = *(ulong*)((byte*)c + op->Dst);
        ulong s = *(ulong*)((byte*)c + op->Src);
        Put(c, op->Dst, Compute(op, d, s));
        return op[1].Fn(c, op + 1);
    }

    private static ulong Compute(Op* op, ulong d, ulong s)
    {
        if (op->Scale == Aligned)
        {
            UInt128 pair = new(d, s);
            return op->Disp > 15 ? 0 : (ulong)(pair >> (op->Disp * 8));
        }

        Vector128<byte> a = (op->Scale switch
        {
            Joined => Vector128.Create(d, s),
            High => Vector128.CreateScalar(d >> 32),
            _ => Vector128.CreateScalar(d),
        }).AsByte();
        Vector128<byte> b = (op->Scale switch
        {
            High => Vector128.CreateScalar(s >> 32),
            Selector => Vector128.CreateScalar(s & 0x8787_8787_8787_8787),
            _ => Vector128.CreateScalar(s),
        }).AsByte();
        ((delegate*<Vector128<byte>*, Vector128<byte>*, int, void>)op->Imm)(&a, &b, op->Disp);
        return a.AsUInt64().ToScalar();
    }

    /// <summary>MMX register = Disp bytes of Src.</summary>
    public static nint Load(Cpu* c, Op* op)
    {
        Enter(c);
        ulong v = *(ulong*)((byte*)c + op->Src);
        Put(c, op->Dst, op->Disp == 4 ? (uint)v : v);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>General register, temporary or the low half of a vector register (Scale 1: upper half cleared) = Disp bytes of an MMX
    /// register.</summary>
    public static nint Read(Cpu* c, Op* op)
    {
        Enter(c);
        ulong v = *(ulong*)((byte*)c + op->Src);
        *(ulong*)((byte*)c + op->Dst) = op->Disp == 4 ? (uint)v : v;
        if (op->Scale == 1)
        {
            *(ulong*)((byte*)c + op->Dst + 8) = 0;
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>The state change of an instruction whose work another operation does.</summary>
    public static nint EnterMmx(Cpu* c, Op* op)
    {
        Enter(c);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>CVTPI2PS (Disp 4), CVTPI2PD (8): two integers in Src to the low (or both) halves of Dst; Imm 1: Src is an MMX
    /// register.</summary>
    public static nint FromMmx(Cpu* c, Op* op)
    {
        ulong low = ConvertPair(c, op, out ulong high, out uint raised);
        if (op->Imm == 1 || op->Disp == 4)
        {
            Enter(c);
        }

        if (raised != 0 && !FloatExceptions.Accept(c, raised))
        {
            return Operand.Fault(c, op);
        }

        ulong* d = (ulong*)((byte*)c + op->Dst);
        d[0] = low;
        if (op->Disp == 8)
        {
            d[1] = high;
        }

        return op[1].Fn(c, op + 1);
    }

    private static ulong ConvertPair(Cpu* c, Op* op, out ulong high, out uint raised)
    {
        SoftFloat m = new(c->Mxcsr);
        int* s = (int*)((byte*)c + op->Src);
        FloatFormat f = op->Disp == 4 ? FloatFormat.Single : FloatFormat.Double;
        ulong first = m.FromInteger(f, s[0]);
        ulong second = m.FromInteger(f, s[1]);
        raised = m.Flags;
        high = second;
        return op->Disp == 4 ? first | (second << 32) : first;
    }

    /// <summary>CVTPS2PI (Disp 4), CVTPD2PI (8): two numbers in Src to integers in Dst; Imm 1: truncated.</summary>
    public static nint ToMmx(Cpu* c, Op* op)
    {
        ulong v = ConvertToPair(c, op, out uint raised);
        Enter(c);
        if (raised != 0 && !FloatExceptions.Accept(c, raised))
        {
            return Operand.Fault(c, op);
        }

        Put(c, op->Dst, v);
        return op[1].Fn(c, op + 1);
    }

    private static ulong ConvertToPair(Cpu* c, Op* op, out uint raised)
    {
        SoftFloat m = new(c->Mxcsr);
        byte* s = (byte*)c + op->Src;
        ulong v = op->Disp == 4
            ? (uint)m.ToInteger(FloatFormat.Single, ((uint*)s)[0], 32, op->Imm == 1)
                | ((ulong)m.ToInteger(FloatFormat.Single, ((uint*)s)[1], 32, op->Imm == 1) << 32)
            : (uint)m.ToInteger(FloatFormat.Double, ((ulong*)s)[0], 32, op->Imm == 1)
                | ((ulong)m.ToInteger(FloatFormat.Double, ((ulong*)s)[1], 32, op->Imm == 1) << 32);
        raised = m.Flags;
        return v;
    }

    /// <summary>PINSRW: word Imm from Src.</summary>
    public static nint Insert(Cpu* c, Op* op)
    {
        Enter(c);
        int shift = (int)op->Imm * 16;
        ulong d = *(ulong*)((byte*)c + op->Dst);
        Put(c, op->Dst, (d & ~(0xfffful << shift)) | ((ulong)Operand.Src<ushort>(c, op) << shift));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>PEXTRW (Imm 0..3) and PMOVMSKB (Imm -1).</summary>
    public static nint Extract(Cpu* c, Op* op)
    {
        Enter(c);
        ulong s = *(ulong*)((byte*)c + op->Src);
        ulong r = 0;
        for (int i = 0; op->Imm < 0 && i < 8; i++)
        {
            r |= ((s >> ((i * 8) + 7)) & 1) << i;
        }

        *(ulong*)((byte*)c + op->Dst) = op->Imm < 0 ? r : (ushort)(s >> ((int)op->Imm * 16));
        return op[1].Fn(c, op + 1);
    }
}
