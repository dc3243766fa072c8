using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>Bit tests, scans and counts, BMI1/BMI2, ADX, CRC32. Source operands are registers (memory is loaded before).</summary>
internal static unsafe class BitOps
{
    /// <summary>Dst: operand; Src: register with the bit number.</summary>
    public static nint Test<T, TBit>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
        where TBit : struct, IBitChange
    {
        T d = Operand.Dst<T>(c, op);
        T mask = T.One << (int)(Operand.Src<byte>(c, op) & ((sizeof(T) * 8) - 1));
        SetCarry(c, (d & mask) != T.Zero);
        if (TBit.Writes)
        {
            Operand.PutDst(c, op, TBit.Change(d, mask));
        }

        return op[1].Fn(c, op + 1);
    }

    public static nint TestImm<T, TBit>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
        where TBit : struct, IBitChange
    {
        T d = Operand.Dst<T>(c, op);
        T mask = T.One << (int)(op->Imm & ((sizeof(T) * 8) - 1));
        SetCarry(c, (d & mask) != T.Zero);
        if (TBit.Writes)
        {
            Operand.PutDst(c, op, TBit.Change(d, mask));
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>
    /// Address of the word that a register bit number selects: AddressSlot = address + (number / bits) * size, the number being signed.
    /// </summary>
    public static nint BitAddress<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        long number = (long)Signed.Extend<T>(Operand.Src<T>(c, op));
        int bits = sizeof(T) * 8;
        Operand.R(c, Cpu.AddressSlot, Operand.Address(c, op) + (ulong)((number >> BitOperations.Log2((uint)bits)) * sizeof(T)));
        return op[1].Fn(c, op + 1);
    }

    internal readonly struct ChangeByReg<T, TBit> : IRmw<T>
        where T : unmanaged, IBinaryInteger<T>
        where TBit : struct, IBitChange
    {
        public static T Compute(Cpu* c, Op* op, T old) => TBit.Change(old, T.One << (int)(Operand.Src<byte>(c, op) & ((sizeof(T) * 8) - 1)));

        public static void Commit(Cpu* c, Op* op, T old, T res) =>
            SetCarry(c, (old & (T.One << (int)(Operand.Src<byte>(c, op) & ((sizeof(T) * 8) - 1)))) != T.Zero);
    }

    internal readonly struct ChangeByImm<T, TBit> : IRmw<T>
        where T : unmanaged, IBinaryInteger<T>
        where TBit : struct, IBitChange
    {
        public static T Compute(Cpu* c, Op* op, T old) => TBit.Change(old, T.One << (int)(op->Imm & ((sizeof(T) * 8) - 1)));

        public static void Commit(Cpu* c, Op* op, T old, T res) =>
            SetCarry(c, (old & (T.One << (int)(op->Imm & ((sizeof(T) * 8) - 1)))) != T.Zero);
    }

    public static nint Bsf<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T s = Operand.Src<T>(c, op);
        StatusFlags.SetMixed(c, s, 0);
        if (s != T.Zero)
        {
            Operand.PutDst(c, op, StatusFlags.Narrow<T>((ulong)BitOperations.TrailingZeroCount(StatusFlags.Widen(s))));
        }

        return op[1].Fn(c, op + 1);
    }

    public static nint Bsr<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T s = Operand.Src<T>(c, op);
        StatusFlags.SetMixed(c, s, 0);
        if (s != T.Zero)
        {
            Operand.PutDst(c, op, StatusFlags.Narrow<T>((ulong)BitOperations.Log2(StatusFlags.Widen(s))));
        }

        return op[1].Fn(c, op + 1);
    }

    public static nint Tzcnt<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T s = Operand.Src<T>(c, op);
        T r = T.TrailingZeroCount(s);
        StatusFlags.SetMixed(c, r, s == T.Zero ? Rflags.CF : 0);
        Operand.PutDst(c, op, r);
        return op[1].Fn(c, op + 1);
    }

    public static nint Lzcnt<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T s = Operand.Src<T>(c, op);
        T r = T.LeadingZeroCount(s);
        StatusFlags.SetMixed(c, r, s == T.Zero ? Rflags.CF : 0);
        Operand.PutDst(c, op, r);
        return op[1].Fn(c, op + 1);
    }

    public static nint Popcnt<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T r = T.PopCount(Operand.Src<T>(c, op));
        StatusFlags.Set(c, r == T.Zero ? Rflags.ZF : 0);
        Operand.PutDst(c, op, r);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Three-operand BMI forms: first source at op->Base, second at op->Src.</summary>
    public static nint Bmi<T, TBmi>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
        where TBmi : struct, IBmi
    {
        ulong a = StatusFlags.Widen(*(T*)((byte*)c + op->Base));
        ulong b = StatusFlags.Widen(Operand.Src<T>(c, op));
        T r = StatusFlags.Narrow<T>(TBmi.Compute(a, b, sizeof(T) * 8));
        if (TBmi.HasFlags)
        {
            StatusFlags.SetMixed(c, r, TBmi.Carry(a, b, sizeof(T) * 8) ? Rflags.CF : 0);
        }

        Operand.PutDst(c, op, r);
        return op[1].Fn(c, op + 1);
    }

    public static nint Rorx<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Operand.PutDst(c, op, T.RotateRight(Operand.Src<T>(c, op), (int)op->Imm & ((sizeof(T) * 8) - 1)));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>MULX: high half to Dst, low half to op->Base; the other factor is rDX.</summary>
    public static nint Mulx32(Cpu* c, Op* op)
    {
        ulong r = (ulong)(uint)c->R[2] * Operand.Src<uint>(c, op);
        Operand.Put(c, op->Base, (uint)r);
        Operand.Put(c, op->Dst, (uint)(r >> 32));
        return op[1].Fn(c, op + 1);
    }

    public static nint Mulx64(Cpu* c, Op* op)
    {
        UInt128 r = (UInt128)c->R[2] * Operand.Src<ulong>(c, op);
        Operand.Put(c, op->Base, (ulong)r);
        Operand.Put(c, op->Dst, (ulong)(r >> 64));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>ADCX (Imm 0) and ADOX (Imm 1).</summary>
    public static nint AddCarry<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong flag = op->Imm == 0 ? Rflags.CF : Rflags.OF;
        ulong flags = StatusFlags.Get(c);
        T a = Operand.Dst<T>(c, op);
        T b = Operand.Src<T>(c, op);
        bool carry = (flags & flag) != 0;
        T r = carry ? a + b + T.One : a + b;
        bool next = carry ? r <= a : r < a;
        StatusFlags.Set(c, (flags & ~flag) | (next ? flag : 0));
        Operand.PutDst(c, op, r);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>CRC32 (polynomial 0x11EDC6F41) of op->Imm source bytes.</summary>
    public static nint Crc32(Cpu* c, Op* op)
    {
        uint crc = Operand.Dst<uint>(c, op);
        ulong data = Operand.Src<ulong>(c, op);
        int size = (int)op->Imm;
        if (size == 8 && Sse42.X64.IsSupported)
        {
            crc = (uint)Sse42.X64.Crc32(crc, data);
        }
        else
        {
            for (int i = 0; i < size; i++)
            {
                crc = BitOperations.Crc32C(crc, (byte)(data >> (8 * i)));
            }
        }

        *(ulong*)((byte*)c + op->Dst) = crc;
        return op[1].Fn(c, op + 1);
    }

    /// <summary>RDRAND and RDSEED: always succeed.</summary>
    public static nint Random<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        Operand.PutDst(c, op, StatusFlags.Narrow<T>(SoftVcpu.RandomWord()));
        StatusFlags.Set(c, Rflags.CF);
        return op[1].Fn(c, op + 1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SetCarry(Cpu* c, bool carry) => StatusFlags.Set(c, (StatusFlags.Get(c) & ~Rflags.CF) | (carry ? 1ul : 0));
}

/// <summary>BTS, BTR, BTC; and BT, which changes nothing.</summary>
internal interface IBitChange
{
    static abstract bool Writes { get; }

    static abstract T Change<T>(T v, T mask)
        where T : unmanaged, IBinaryInteger<T>;
}

internal readonly struct BitKeep : IBitChange
{
    public static bool Writes => false;

    public static T Change<T>(T v, T mask)
        where T : unmanaged, IBinaryInteger<T> => v;
}

internal readonly struct BitSet : IBitChange
{
    public static bool Writes => true;

    public static T Change<T>(T v, T mask)
        where T : unmanaged, IBinaryInteger<T> => v | mask;
}

internal readonly struct BitReset : IBitChange
{
    public static bool Writes => true;

    public static T Change<T>(T v, T mask)
        where T : unmanaged, IBinaryInteger<T> => v & ~mask;
}

internal readonly struct BitComplement : IBitChange
{
    public static bool Writes => true;

    public static T Change<T>(T v, T mask)
        where T : unmanaged, IBinaryInteger<T> => v ^ mask;
}
