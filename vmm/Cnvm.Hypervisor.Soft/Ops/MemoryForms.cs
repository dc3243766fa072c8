using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>What an operation does with a loaded value.</summary>
internal unsafe interface ILoad<T>
    where T : unmanaged
{
    /// <summary>Bits of the address that must be zero; 0 for no alignment check.</summary>
    static virtual ulong AlignmentMask => 0;

    static abstract void Apply(Cpu* c, Op* op, T v);
}

/// <summary>What value an operation stores.</summary>
internal unsafe interface IStore<T>
    where T : unmanaged
{
    static virtual ulong AlignmentMask => 0;

    static abstract T Value(Cpu* c, Op* op);
}

/// <summary>What an operation makes of a value in memory. <see cref="Compute"/> has no effects: it may run more than once.</summary>
internal unsafe interface IRmw<T>
    where T : unmanaged
{
    static abstract T Compute(Cpu* c, Op* op, T old);

    static abstract void Commit(Cpu* c, Op* op, T old, T res);
}

/// <summary>The three shapes of memory access: a TLB hit on RAM is done in place, everything else by a slow twin.</summary>
internal static unsafe class MemoryForms
{
    public static nint Load<TBody, T>(Cpu* c, Op* op)
        where TBody : struct, ILoad<T>
        where T : unmanaged
    {
        ulong a = Operand.Address(c, op);
        TlbEntry* e = c->Tlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->ReadTag != ((a + (uint)(sizeof(T) - 1)) & Mmu.PageMask) || (a & TBody.AlignmentMask) != 0)
        {
            return LoadSlow<TBody, T>(c, op);
        }

        TBody.Apply(c, op, *(T*)(a + e->Addend));
        return op[1].Fn(c, op + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint LoadSlow<TBody, T>(Cpu* c, Op* op)
        where TBody : struct, ILoad<T>
        where T : unmanaged
    {
        ulong a = Operand.Address(c, op);
        if ((a & TBody.AlignmentMask) != 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        if (!Mmu.Read(c, a, sizeof(T)))
        {
            return Operand.Fault(c, op);
        }

        TBody.Apply(c, op, Operand.Data<T>(c));
        return op[1].Fn(c, op + 1);
    }

    public static nint Store<TBody, T>(Cpu* c, Op* op)
        where TBody : struct, IStore<T>
        where T : unmanaged
    {
        ulong a = Operand.Address(c, op);
        TlbEntry* e = c->Tlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->WriteTag != ((a + (uint)(sizeof(T) - 1)) & Mmu.PageMask) || (a & TBody.AlignmentMask) != 0)
        {
            return StoreSlow<TBody, T>(c, op);
        }

        *(T*)(a + e->Addend) = TBody.Value(c, op);
        return op[1].Fn(c, op + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint StoreSlow<TBody, T>(Cpu* c, Op* op)
        where TBody : struct, IStore<T>
        where T : unmanaged
    {
        ulong a = Operand.Address(c, op);
        if ((a & TBody.AlignmentMask) != 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        *(T*)c->Data = TBody.Value(c, op);
        if (!Mmu.Write(c, a, sizeof(T)))
        {
            return Operand.Fault(c, op);
        }

        return op[1].Fn(c, op + 1);
    }

    public static nint Rmw<TBody, T>(Cpu* c, Op* op)
        where TBody : struct, IRmw<T>
        where T : unmanaged
    {
        ulong a = Operand.Address(c, op);
        TlbEntry* e = c->Tlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->WriteTag != ((a + (uint)(sizeof(T) - 1)) & Mmu.PageMask))
        {
            return RmwSlow<TBody, T>(c, op);
        }

        T* p = (T*)(a + e->Addend);
        T old = *p;
        T res = TBody.Compute(c, op, old);
        *p = res;
        TBody.Commit(c, op, old, res);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>The LOCK form: other vCPUs and devices see one indivisible step.</summary>
    public static nint Locked<TBody, T>(Cpu* c, Op* op)
        where TBody : struct, IRmw<T>
        where T : unmanaged, IEquatable<T>
    {
        ulong a = Operand.Address(c, op);
        TlbEntry* e = c->Tlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->WriteTag != ((a + (uint)(sizeof(T) - 1)) & Mmu.PageMask))
        {
            return LockedSlow<TBody, T>(c, op);
        }

        T* p = (T*)(a + e->Addend);
        T old = *p;
        for (; ; )
        {
            T res = TBody.Compute(c, op, old);
            T seen = Interlocked.CompareExchange(ref *p, res, old);
            if (seen.Equals(old))
            {
                TBody.Commit(c, op, old, res);
                return op[1].Fn(c, op + 1);
            }

            old = seen;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint RmwSlow<TBody, T>(Cpu* c, Op* op)
        where TBody : struct, IRmw<T>
        where T : unmanaged =>
        TryRmw<TBody, T>(c, op) ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint LockedSlow<TBody, T>(Cpu* c, Op* op)
        where TBody : struct, IRmw<T>
        where T : unmanaged, IEquatable<T>
    {
        if (!Mmu.BeginRmw(c, Operand.Address(c, op), sizeof(T)))
        {
            return Operand.Fault(c, op);
        }

        if (c->RmwHost != null)
        {
            // The TLB has the page now.
            return op->Fn(c, op);
        }

        return TryLockedRmw<TBody, T>(c, op) ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);
    }

    /// <summary>Across pages, in code pages and in devices: one at a time in the whole machine.</summary>
    private static bool TryLockedRmw<TBody, T>(Cpu* c, Op* op)
        where TBody : struct, IRmw<T>
        where T : unmanaged
    {
        lock (SoftVcpu.Of(c).SplitLock)
        {
            return TryRmw<TBody, T>(c, op);
        }
    }

    private static bool TryRmw<TBody, T>(Cpu* c, Op* op)
        where TBody : struct, IRmw<T>
        where T : unmanaged
    {
        if (!Mmu.BeginRmw(c, Operand.Address(c, op), sizeof(T)))
        {
            return false;
        }

        T old = Operand.Data<T>(c);
        T res = TBody.Compute(c, op, old);
        *(T*)c->Data = res;
        if (!Mmu.EndRmw(c, sizeof(T)))
        {
            return false;
        }

        TBody.Commit(c, op, old, res);
        return true;
    }
}
