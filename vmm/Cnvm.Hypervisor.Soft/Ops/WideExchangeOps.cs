using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>CMPXCHG8B and CMPXCHG16B.</summary>
internal static unsafe class WideExchangeOps
{
    private static ulong Pair(Cpu* c, int high, int low) => (c->R[high] << 32) | (uint)c->R[low];

    /// <summary>EDX:EAX is compared; memory gets ECX:EBX, or EDX:EAX gets memory. ZF alone changes.</summary>
    internal readonly struct CompareExchange8 : IRmw<ulong>
    {
        public static ulong Compute(Cpu* c, Op* op, ulong old) => old == Pair(c, 2, 0) ? Pair(c, 1, 3) : old;

        public static void Commit(Cpu* c, Op* op, ulong old, ulong res)
        {
            ulong flags = StatusFlags.Get(c);
            if (old == Pair(c, 2, 0))
            {
                StatusFlags.Set(c, flags | Rflags.ZF);
                return;
            }

            StatusFlags.Set(c, flags & ~Rflags.ZF);
            c->R[0] = (uint)old;
            c->R[2] = old >> 32;
        }
    }

    /// <summary>
    /// CMPXCHG16B: indivisible among CMPXCHG16B of all vCPUs. The halves are stored one after the other, which plain loads of
    /// another vCPU may see.
    /// </summary>
    public static nint Cmpxchg16b(Cpu* c, Op* op)
    {
        ulong a = Operand.Address(c, op);
        if ((a & 15) != 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        return Exchange(c, a) ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);
    }

    private static bool Exchange(Cpu* c, ulong a)
    {
        lock (SoftVcpu.Of(c).SplitLock)
        {
            if (!Mmu.BeginRmw(c, a, 16))
            {
                return false;
            }

            ulong flags = StatusFlags.Get(c);
            ulong low = c->Data[0];
            ulong high = c->Data[1];
            bool equal = low == c->R[0] && high == c->R[2];
            if (equal)
            {
                c->Data[0] = c->R[3];
                c->Data[1] = c->R[1];
                if (c->RmwHost != null)
                {
                    Volatile.Write(ref *(ulong*)c->RmwHost, c->R[3]);
                    Volatile.Write(ref *(ulong*)(c->RmwHost + 8), c->R[1]);
                }
                else if (!Mmu.EndRmw(c, 16))
                {
                    return false;
                }

                StatusFlags.Set(c, flags | Rflags.ZF);
                return true;
            }

            c->R[0] = low;
            c->R[2] = high;
            StatusFlags.Set(c, flags & ~Rflags.ZF);
            return true;
        }
    }
}
