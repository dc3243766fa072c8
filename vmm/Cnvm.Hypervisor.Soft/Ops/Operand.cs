using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>Operand access and the ways out of an operation.</summary>
/// <remarks>
/// Operations end in <c>return op[1].Fn(c, op + 1)</c>, which the compiler turns into a jump. That needs methods without
/// address-taken locals, so nothing here hands out references to locals, and slow paths live in methods of their own.
/// </remarks>
internal static unsafe class Operand
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong R(Cpu* c, int offset) => *(ulong*)((byte*)c + offset);

    /// <summary>Linear address of the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Address(Cpu* c, Op* op) =>
        R(c, op->Base) + (R(c, op->Index) << op->Scale) + (ulong)(long)op->Disp + R(c, op->Seg);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Dst<T>(Cpu* c, Op* op)
        where T : unmanaged => *(T*)((byte*)c + op->Dst);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Src<T>(Cpu* c, Op* op)
        where T : unmanaged => *(T*)((byte*)c + op->Src);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Imm<T>(Op* op)
        where T : unmanaged => StatusFlags.Narrow<T>((ulong)op->Imm);

    /// <summary>Writes a general register as the architecture does: 32-bit results clear the upper half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Put<T>(Cpu* c, int offset, T v)
        where T : unmanaged
    {
        if (typeof(T) == typeof(uint))
        {
            *(ulong*)((byte*)c + offset) = StatusFlags.Widen(v);
        }
        else
        {
            *(T*)((byte*)c + offset) = v;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PutDst<T>(Cpu* c, Op* op, T v)
        where T : unmanaged => Put(c, op->Dst, v);

    /// <summary>The data of the last slow access.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Data<T>(Cpu* c)
        where T : unmanaged => *(T*)c->Data;

    /// <summary>Leaves with the exception that a failed memory access described; RIP is that of the instruction.</summary>
    public static nint Fault(Cpu* c, Op* op)
    {
        R(c, Cpu.RipSlot, R(c, Cpu.RipSlot) + op->RipDelta);
        c->InstructionCount += op->Count;
        return Exit.Exception;
    }

    public static nint Raise(Cpu* c, Op* op, int vector)
    {
        Mmu.RaiseNoError(c, vector);
        return Fault(c, op);
    }

    public static nint Raise(Cpu* c, Op* op, int vector, uint error)
    {
        Mmu.Raise(c, vector, error);
        return Fault(c, op);
    }

    /// <summary>The block ends here, and the next instruction is the one after this.</summary>
    public static nint Leave(Cpu* c, Op* op)
    {
        R(c, Cpu.RipSlot, R(c, Cpu.RipSlot) + op->NextDelta);
        c->InstructionCount += op->Count;
        return Exit.Lookup;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void R(Cpu* c, int offset, ulong value) => *(ulong*)((byte*)c + offset) = value;
}
