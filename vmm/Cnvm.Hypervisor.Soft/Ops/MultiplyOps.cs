using System.Numerics;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>MUL, IMUL, DIV, IDIV with a register source (memory is loaded before).</summary>
internal static unsafe class MultiplyOps
{
    private const ulong CarryOverflow = Rflags.CF | Rflags.OF;

    public static nint Mul<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong a = StatusFlags.Widen(*(T*)c);
        ulong b = StatusFlags.Widen(Operand.Src<T>(c, op));
        ulong low = a * b;
        ulong high = sizeof(T) == 8 ? Math.BigMul(a, b, out _) : low >> (sizeof(T) * 8);
        StorePair<T>(c, low, high);
        StatusFlags.SetMixed(c, StatusFlags.Narrow<T>(low), StatusFlags.Widen(StatusFlags.Narrow<T>(high)) != 0 ? CarryOverflow : 0);
        return op[1].Fn(c, op + 1);
    }

    public static nint Imul<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        long a = (long)Signed.Extend<T>(*(T*)c);
        long b = (long)Signed.Extend<T>(Operand.Src<T>(c, op));
        ulong low = (ulong)(a * b);
        ulong high = sizeof(T) == 8 ? (ulong)Math.BigMul(a, b, out _) : (ulong)((long)low >> (sizeof(T) * 8));
        StorePair<T>(c, low, high);
        StatusFlags.SetMixed(c, StatusFlags.Narrow<T>(low), Overflows<T>(low, high) ? CarryOverflow : 0);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Dst = Dst * Src.</summary>
    public static nint ImulReg<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Multiply<T>(c, op, (long)Signed.Extend<T>(Operand.Dst<T>(c, op)), (long)Signed.Extend<T>(Operand.Src<T>(c, op)));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Dst = Src * Imm.</summary>
    public static nint ImulImm<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Multiply<T>(c, op, (long)Signed.Extend<T>(Operand.Src<T>(c, op)), (long)Signed.Extend<T>(Operand.Imm<T>(op)));
        return op[1].Fn(c, op + 1);
    }

    public static nint Div<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong b = StatusFlags.Widen(Operand.Src<T>(c, op));
        UInt128 a = sizeof(T) == 1 ? (ushort)c->R[0]
            : sizeof(T) == 8 ? new UInt128(c->R[2], c->R[0])
            : (StatusFlags.Widen(((T*)c)[2 * 8 / sizeof(T)]) << (sizeof(T) * 8)) | StatusFlags.Widen(*(T*)c);
        if (b == 0)
        {
            return Operand.Raise(c, op, Vectors.DE);
        }

        if (sizeof(T) < 8 || (ulong)(a >> 64) == 0)
        {
            ulong q = (ulong)a / b;
            if (sizeof(T) < 8 && q >> (sizeof(T) * 8 & 63) != 0)
            {
                return Operand.Raise(c, op, Vectors.DE);
            }

            StorePair<T>(c, q, (ulong)a % b);
            return op[1].Fn(c, op + 1);
        }

        if ((ulong)(a >> 64) >= b)
        {
            return Operand.Raise(c, op, Vectors.DE);
        }

        UInt128 wide = a / b;
        StorePair<T>(c, (ulong)wide, (ulong)(a - (wide * b)));
        return op[1].Fn(c, op + 1);
    }

    public static nint Idiv<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        long b = (long)Signed.Extend<T>(Operand.Src<T>(c, op));
        if (b == 0)
        {
            return Operand.Raise(c, op, Vectors.DE);
        }

        if (sizeof(T) == 8)
        {
            Int128 wide = new((ulong)c->R[2], c->R[0]);
            Int128 q = wide == Int128.MinValue ? Int128.MaxValue : wide / b;
            if (q < long.MinValue || q > long.MaxValue)
            {
                return Operand.Raise(c, op, Vectors.DE);
            }

            StorePair<T>(c, (ulong)(long)q, (ulong)(long)(wide - (q * b)));
            return op[1].Fn(c, op + 1);
        }

        long a = sizeof(T) == 1 ? (short)c->R[0]
            : sizeof(T) == 2 ? (int)(((uint)(ushort)c->R[2] << 16) | (ushort)c->R[0])
            : (long)((c->R[2] << 32) | (uint)c->R[0]);
        if (a == long.MinValue)
        {
            return Operand.Raise(c, op, Vectors.DE);
        }

        long quotient = a / b;
        long limit = 1L << ((sizeof(T) * 8) - 1);
        if (quotient < -limit || quotient >= limit)
        {
            return Operand.Raise(c, op, Vectors.DE);
        }

        StorePair<T>(c, (ulong)quotient, (ulong)(a % b));
        return op[1].Fn(c, op + 1);
    }

    private static void Multiply<T>(Cpu* c, Op* op, long a, long b)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong low = (ulong)(a * b);
        ulong high = sizeof(T) == 8 ? (ulong)Math.BigMul(a, b, out _) : (ulong)((long)low >> (sizeof(T) * 8));
        T r = StatusFlags.Narrow<T>(low);
        Operand.PutDst(c, op, r);
        StatusFlags.SetMixed(c, r, Overflows<T>(low, high) ? CarryOverflow : 0);
    }

    private static bool Overflows<T>(ulong low, ulong high)
        where T : unmanaged =>
        sizeof(T) == 8 ? high != (ulong)((long)low >> 63) : Signed.Extend<T>(StatusFlags.Narrow<T>(low)) != low;

    /// <summary>Low half (or quotient) to rAX, high half (or remainder) to rDX; AX alone for bytes.</summary>
    private static void StorePair<T>(Cpu* c, ulong low, ulong high)
        where T : unmanaged
    {
        if (sizeof(T) == 1)
        {
            *(ushort*)c = (ushort)((byte)low | (high << 8));
        }
        else
        {
            Operand.Put(c, 0, StatusFlags.Narrow<T>(low));
            Operand.Put(c, 2 * 8, StatusFlags.Narrow<T>(high));
        }
    }
}
