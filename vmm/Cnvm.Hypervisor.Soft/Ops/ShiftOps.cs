using System.Numerics;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>
/// Shifts and rotates of a register operand by op->Imm (immediate) or CL. Memory operands are loaded before and stored after
/// by operations of their own. Flags that the architecture leaves undefined follow the common processors.
/// </summary>
internal static unsafe class ShiftOps
{
    public static delegate*<Cpu*, Op*, nint> Get<T>(ShiftKind kind, bool byCl)
        where T : unmanaged, IBinaryInteger<T> =>
        kind switch
        {
            ShiftKind.Shl => byCl ? &Shl<T, ByCl> : &Shl<T, ByImm>,
            ShiftKind.Shr => byCl ? &Shr<T, ByCl> : &Shr<T, ByImm>,
            ShiftKind.Sar => byCl ? &Sar<T, ByCl> : &Sar<T, ByImm>,
            ShiftKind.Rol => byCl ? &Rol<T, ByCl> : &Rol<T, ByImm>,
            ShiftKind.Ror => byCl ? &Ror<T, ByCl> : &Ror<T, ByImm>,
            ShiftKind.Rcl => byCl ? &Rcl<T, ByCl> : &Rcl<T, ByImm>,
            ShiftKind.Rcr => byCl ? &Rcr<T, ByCl> : &Rcr<T, ByImm>,
            ShiftKind.Shld => byCl ? &Shld<T, ByCl> : &Shld<T, ByImm>,
            _ => byCl ? &Shrd<T, ByCl> : &Shrd<T, ByImm>,
        };

    private interface ICount
    {
        static abstract int Get(Cpu* c, Op* op);
    }

    private readonly struct ByCl : ICount
    {
        public static int Get(Cpu* c, Op* op) => (byte)c->R[1];
    }

    private readonly struct ByImm : ICount
    {
        public static int Get(Cpu* c, Op* op) => (int)op->Imm;
    }

    private static nint Shl<T, TCount>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
        where TCount : struct, ICount
    {
        int bits = sizeof(T) * 8;
        int n = TCount.Get(c, op) & (bits == 64 ? 63 : 31);
        T d = Operand.Dst<T>(c, op);
        if (n != 0)
        {
            ulong a = StatusFlags.Widen(d);
            ulong r = a << n;
            ulong carry = n <= bits ? (a >> (bits - n)) & 1 : 0;
            d = StatusFlags.Narrow<T>(r);
            StatusFlags.SetMixed(c, d, carry | ((((r >> (bits - 1)) ^ carry) & 1) << 11));
        }

        Operand.PutDst(c, op, d);
        return op[1].Fn(c, op + 1);
    }

    private static nint Shr<T, TCount>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
        where TCount : struct, ICount
    {
        int bits = sizeof(T) * 8;
        int n = TCount.Get(c, op) & (bits == 64 ? 63 : 31);
        T d = Operand.Dst<T>(c, op);
        if (n != 0)
        {
            ulong a = StatusFlags.Widen(d);
            ulong carry = (a >> (n - 1)) & 1;
            d = StatusFlags.Narrow<T>(a >> n);
            StatusFlags.SetMixed(c, d, carry | (n == 1 ? (a >> (bits - 1)) << 11 : 0));
        }

        Operand.PutDst(c, op, d);
        return op[1].Fn(c, op + 1);
    }

    private static nint Sar<T, TCount>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
        where TCount : struct, ICount
    {
        int bits = sizeof(T) * 8;
        int n = TCount.Get(c, op) & (bits == 64 ? 63 : 31);
        T d = Operand.Dst<T>(c, op);
        if (n != 0)
        {
            long a = (long)Signed.Extend<T>(d);
            ulong carry = (ulong)(a >> (n - 1)) & 1;
            d = StatusFlags.Narrow<T>((ulong)(a >> n));
            StatusFlags.SetMixed(c, d, carry);
        }

        Operand.PutDst(c, op, d);
        return op[1].Fn(c, op + 1);
    }

    private static nint Rol<T, TCount>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
        where TCount : struct, ICount
    {
        int bits = sizeof(T) * 8;
        int n = TCount.Get(c, op) & (bits == 64 ? 63 : 31);
        T d = Operand.Dst<T>(c, op);
        if (n != 0)
        {
            d = T.RotateLeft(d, n & (bits - 1));
            ulong r = StatusFlags.Widen(d);
            SetCarryOverflow(c, r & 1, (r ^ (r >> (bits - 1))) & 1);
        }

        Operand.PutDst(c, op, d);
        return op[1].Fn(c, op + 1);
    }

    private static nint Ror<T, TCount>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
        where TCount : struct, ICount
    {
        int bits = sizeof(T) * 8;
        int n = TCount.Get(c, op) & (bits == 64 ? 63 : 31);
        T d = Operand.Dst<T>(c, op);
        if (n != 0)
        {
            d = T.RotateRight(d, n & (bits - 1));
            ulong r = StatusFlags.Widen(d);
            SetCarryOverflow(c, (r >> (bits - 1)) & 1, ((r >> (bits - 1)) ^ (r >> (bits - 2))) & 1);
        }

        Operand.PutDst(c, op, d);
        return op[1].Fn(c, op + 1);
    }

    private static nint Rcl<T, TCount>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
        where TCount : struct, ICount
    {
        int bits = sizeof(T) * 8;
        int n = (TCount.Get(c, op) & (bits == 64 ? 63 : 31)) % (bits + 1);
        ulong a = StatusFlags.Widen(Operand.Dst<T>(c, op));
        if (n != 0)
        {
            ulong carry = StatusFlags.Carry(c) ? 1ul : 0;
            ulong low = n == 1 ? 0 : a >> (bits - n + 1);
            ulong r = (n == 64 ? 0 : a << n) | (carry << (n - 1)) | low;
            ulong newCarry = (a >> (bits - n)) & 1;
            a = r;
            SetCarryOverflow(c, newCarry, (newCarry ^ (r >> (bits - 1))) & 1);
        }

        Operand.PutDst(c, op, StatusFlags.Narrow<T>(a));
        return op[1].Fn(c, op + 1);
    }

    private static nint Rcr<T, TCount>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
        where TCount : struct, ICount
    {
        int bits = sizeof(T) * 8;
        int n = (TCount.Get(c, op) & (bits == 64 ? 63 : 31)) % (bits + 1);
        ulong a = StatusFlags.Widen(Operand.Dst<T>(c, op));
        if (n != 0)
        {
            ulong carry = StatusFlags.Carry(c) ? 1ul : 0;
            ulong high = n == 1 ? 0 : a << (bits - n + 1);
            ulong newCarry = (a >> (n - 1)) & 1;
            ulong r = (n == 64 ? 0 : a >> n) | (carry << (bits - n)) | high;
            a = r;
            SetCarryOverflow(c, newCarry, ((r >> (bits - 1)) ^ (r >> (bits - 2))) & 1);
        }

        Operand.PutDst(c, op, StatusFlags.Narrow<T>(a));
        return op[1].Fn(c, op + 1);
    }

    private static nint Shld<T, TCount>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
        where TCount : struct, ICount
    {
        int bits = sizeof(T) * 8;
        int n = TCount.Get(c, op) & (bits == 64 ? 63 : 31);
        T d = Operand.Dst<T>(c, op);
        if (n != 0)
        {
            ulong a = StatusFlags.Widen(d);
            ulong b = StatusFlags.Widen(Operand.Src<T>(c, op));
            ulong r;
            ulong carry;
            if (n <= bits)
            {
                r = n == 64 ? b : (a << n) | (b >> (bits - n));
                carry = (a >> (bits - n)) & 1;
            }
            else
            {
                // A 16-bit operand shifted by more than its width takes the first operand in again, as common processors do.
                r = (b << (n - 16)) | (a >> (32 - n));
                carry = (b >> (32 - n)) & 1;
            }

            T res = StatusFlags.Narrow<T>(r);
            StatusFlags.SetMixed(c, res, carry | ((((r ^ a) >> (bits - 1)) & 1) << 11));
            d = res;
        }

        Operand.PutDst(c, op, d);
        return op[1].Fn(c, op + 1);
    }

    private static nint Shrd<T, TCount>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
        where TCount : struct, ICount
    {
        int bits = sizeof(T) * 8;
        int n = TCount.Get(c, op) & (bits == 64 ? 63 : 31);
        T d = Operand.Dst<T>(c, op);
        if (n != 0)
        {
            ulong a = StatusFlags.Widen(d);
            ulong b = StatusFlags.Widen(Operand.Src<T>(c, op));
            ulong r;
            ulong carry;
            if (n <= bits)
            {
                r = (a >> n) | (b << (bits - n));
                carry = (a >> (n - 1)) & 1;
            }
            else
            {
                r = (b >> (n - 16)) | (a << (32 - n));
                carry = (b >> (n - 17)) & 1;
            }

            T res = StatusFlags.Narrow<T>(r);
            StatusFlags.SetMixed(c, res, carry | ((((StatusFlags.Widen(res) ^ a) >> (bits - 1)) & 1) << 11));
            d = res;
        }

        Operand.PutDst(c, op, d);
        return op[1].Fn(c, op + 1);
    }

    private static void SetCarryOverflow(Cpu* c, ulong carry, ulong overflow) =>
        StatusFlags.Set(c, (StatusFlags.Get(c) & ~(Rflags.CF | Rflags.OF)) | carry | (overflow << 11));
}

internal enum ShiftKind
{
    Shl,
    Shr,
    Sar,
    Rol,
    Ror,
    Rcl,
    Rcr,
    Shld,
    Shrd,
}
