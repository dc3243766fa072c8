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

    /// <summary>General register, temporary or the low half of a vector register (Scale 1: upper half cleared) = Disp bytes of an MMX register.</summary>
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
