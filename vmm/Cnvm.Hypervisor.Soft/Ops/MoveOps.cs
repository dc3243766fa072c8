using System.Numerics;
using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>Moves, sign and zero extension, LEA, XCHG, BSWAP, conditional moves.</summary>
internal static unsafe class MoveOps
{
    public static nint RegReg<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        Operand.PutDst(c, op, Operand.Src<T>(c, op));
        return op[1].Fn(c, op + 1);
    }

    public static nint RegImm<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        Operand.PutDst(c, op, Operand.Imm<T>(op));
        return op[1].Fn(c, op + 1);
    }

    public static nint Lea<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        Operand.PutDst(c, op, StatusFlags.Narrow<T>(Operand.Address(c, op)));
        return op[1].Fn(c, op + 1);
    }

    public static nint XchgReg<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        T d = Operand.Dst<T>(c, op);
        T s = Operand.Src<T>(c, op);
        Operand.Put(c, op->Src, d);
        Operand.Put(c, op->Dst, s);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Loads the base-plus-displacement form, which most loads of compiled code have.</summary>
    public static nint LoadBase<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        ulong a = Operand.R(c, op->Base) + (ulong)(long)op->Disp;
        TlbEntry* e = c->Tlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->ReadTag != ((a + (uint)(sizeof(T) - 1)) & Mmu.PageMask))
        {
            return MemoryForms.Load<LoadReg<T>, T>(c, op);
        }

        Operand.PutDst(c, op, *(T*)(a + e->Addend));
        return op[1].Fn(c, op + 1);
    }

    public static nint StoreBase<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        ulong a = Operand.R(c, op->Base) + (ulong)(long)op->Disp;
        TlbEntry* e = c->Tlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->WriteTag != ((a + (uint)(sizeof(T) - 1)) & Mmu.PageMask))
        {
            return MemoryForms.Store<StoreReg<T>, T>(c, op);
        }

        *(T*)(a + e->Addend) = Operand.Src<T>(c, op);
        return op[1].Fn(c, op + 1);
    }

    public static nint ExtendReg<TFrom, TTo, TSign>(Cpu* c, Op* op)
        where TFrom : unmanaged
        where TTo : unmanaged
        where TSign : struct, ISignedness
    {
        Operand.PutDst(c, op, StatusFlags.Narrow<TTo>(TSign.Extend<TFrom>(Operand.Src<TFrom>(c, op))));
        return op[1].Fn(c, op + 1);
    }

    public static nint Bswap<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        if (sizeof(T) == 2)
        {
            // Undefined by the manuals; processors clear the register.
            Operand.PutDst(c, op, default(T));
            return op[1].Fn(c, op + 1);
        }

        ulong v = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(StatusFlags.Widen(Operand.Dst<T>(c, op)));
        Operand.PutDst(c, op, StatusFlags.Narrow<T>(v >> (64 - (sizeof(T) * 8))));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>CBW, CWDE, CDQE: widens the lower half of the accumulator.</summary>
    public static nint WidenAccumulator<TFrom, TTo>(Cpu* c, Op* op)
        where TFrom : unmanaged
        where TTo : unmanaged
    {
        Operand.Put(c, 0, StatusFlags.Narrow<TTo>(Signed.Extend<TFrom>(*(TFrom*)c)));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>CWD, CDQ, CQO: copies the accumulator's sign into rDX.</summary>
    public static nint SignToDx<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        Operand.Put(c, 2 * 8, StatusFlags.Narrow<T>((ulong)((long)Signed.Extend<T>(*(T*)c) >> 63)));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Dst = condition ? Src : Dst; a 32-bit destination is cleared above either way.</summary>
    public static nint Cmov<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        Operand.PutDst(c, op, StatusFlags.Condition(c, (int)op->Imm) ? Operand.Src<T>(c, op) : Operand.Dst<T>(c, op));
        return op[1].Fn(c, op + 1);
    }

    public static nint Setcc(Cpu* c, Op* op)
    {
        *((byte*)c + op->Dst) = StatusFlags.Condition(c, (int)op->Imm) ? (byte)1 : (byte)0;
        return op[1].Fn(c, op + 1);
    }

    public static nint Nop(Cpu* c, Op* op) => op[1].Fn(c, op + 1);

    public static nint Fence(Cpu* c, Op* op)
    {
        Interlocked.MemoryBarrier();
        return op[1].Fn(c, op + 1);
    }

    internal readonly struct LoadReg<T> : ILoad<T>
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply(Cpu* c, Op* op, T v) => Operand.PutDst(c, op, v);
    }

    internal readonly struct LoadExtend<TFrom, TTo, TSign> : ILoad<TFrom>
        where TFrom : unmanaged
        where TTo : unmanaged
        where TSign : struct, ISignedness
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply(Cpu* c, Op* op, TFrom v) => Operand.PutDst(c, op, StatusFlags.Narrow<TTo>(TSign.Extend<TFrom>(v)));
    }

    internal readonly struct LoadSwapped<T> : ILoad<T>
        where T : unmanaged
    {
        public static void Apply(Cpu* c, Op* op, T v) => Operand.PutDst(c, op, Swap(v));
    }

    internal readonly struct StoreReg<T> : IStore<T>
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Value(Cpu* c, Op* op) => Operand.Src<T>(c, op);
    }

    internal readonly struct StoreSwapped<T> : IStore<T>
        where T : unmanaged
    {
        public static T Value(Cpu* c, Op* op) => Swap(Operand.Src<T>(c, op));
    }

    internal readonly struct StoreImm<T> : IStore<T>
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Value(Cpu* c, Op* op) => Operand.Imm<T>(op);
    }

    internal readonly struct Exchange<T> : IRmw<T>
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Compute(Cpu* c, Op* op, T old) => Operand.Src<T>(c, op);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Commit(Cpu* c, Op* op, T old, T res) => Operand.Put(c, op->Src, old);
    }

    /// <summary>XADD: the register gets the old value, memory the sum.</summary>
    internal readonly struct ExchangeAdd<T> : IRmw<T>
        where T : unmanaged, IBinaryInteger<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Compute(Cpu* c, Op* op, T old) => old + Operand.Src<T>(c, op);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Commit(Cpu* c, Op* op, T old, T res)
        {
            StatusFlags.SetAdd(c, Operand.Src<T>(c, op), res);
            Operand.Put(c, op->Src, old);
        }
    }

    /// <summary>CMPXCHG: compares with the accumulator; memory gets the register, or the accumulator gets memory.</summary>
    internal readonly struct CompareExchange<T> : IRmw<T>
        where T : unmanaged, IBinaryInteger<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Compute(Cpu* c, Op* op, T old) => old == *(T*)c ? Operand.Src<T>(c, op) : old;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Commit(Cpu* c, Op* op, T old, T res)
        {
            T acc = *(T*)c;
            if (old != acc)
            {
                Operand.Put(c, 0, old);
            }

            StatusFlags.SetSub(c, old, acc - old);
        }
    }

    public static nint XaddReg<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T d = Operand.Dst<T>(c, op);
        T s = Operand.Src<T>(c, op);
        T r = d + s;
        StatusFlags.SetAdd(c, s, r);
        Operand.Put(c, op->Src, d);
        Operand.Put(c, op->Dst, r);
        return op[1].Fn(c, op + 1);
    }

    public static nint CmpxchgReg<T>(Cpu* c, Op* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T d = Operand.Dst<T>(c, op);
        T acc = *(T*)c;
        StatusFlags.SetSub(c, d, acc - d);
        if (d == acc)
        {
            Operand.PutDst(c, op, Operand.Src<T>(c, op));
        }
        else
        {
            Operand.Put(c, 0, d);
        }

        return op[1].Fn(c, op + 1);
    }

    private static T Swap<T>(T v)
        where T : unmanaged =>
        StatusFlags.Narrow<T>(System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(StatusFlags.Widen(v)) >> (64 - (sizeof(T) * 8)));
}
