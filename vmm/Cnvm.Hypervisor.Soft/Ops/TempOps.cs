using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>
/// Pieces of an instruction: load an operand into a temporary, open a read-modify-write and close it, form an address that the
/// ordinary operand fields cannot express.
/// </summary>
internal static unsafe class TempOps
{
    /// <summary>Temporary = memory, zero-extended.</summary>
    internal readonly struct LoadTemp<T> : ILoad<T>
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply(Cpu* c, Op* op, T v) => Operand.R(c, op->Dst, StatusFlags.Widen(v));
    }

    /// <summary>BOUND: the signed index in Dst against two bounds of Src bytes in memory.</summary>
    public static nint Bound(Cpu* c, Op* op)
    {
        if (!Mmu.Read(c, Operand.Address(c, op), op->Src * 2))
        {
            return Operand.Fault(c, op);
        }

        bool narrow = op->Src == 2;
        long index = narrow ? Operand.Dst<short>(c, op) : Operand.Dst<int>(c, op);
        long lower = narrow ? *(short*)c->Data : *(int*)c->Data;
        long upper = narrow ? ((short*)c->Data)[1] : ((int*)c->Data)[1];
        return index < lower || index > upper ? Operand.Raise(c, op, Vectors.BR) : op[1].Fn(c, op + 1);
    }

    /// <summary>Opens a read-modify-write; the old value goes to Temp0. Faults as a write does.</summary>
    public static nint OpenRmw<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        ulong a = Operand.Address(c, op);
        TlbEntry* e = c->Tlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->WriteTag != ((a + (uint)(sizeof(T) - 1)) & Mmu.PageMask))
        {
            return OpenRmwSlow<T>(c, op);
        }

        T* p = (T*)(a + e->Addend);
        c->RmwHost = (byte*)p;
        Operand.R(c, Cpu.Temp0, StatusFlags.Widen(*p));
        return op[1].Fn(c, op + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint OpenRmwSlow<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        if (!Mmu.BeginRmw(c, Operand.Address(c, op), sizeof(T)))
        {
            return Operand.Fault(c, op);
        }

        Operand.R(c, Cpu.Temp0, StatusFlags.Widen(Operand.Data<T>(c)));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Closes a read-modify-write with Temp0.</summary>
    public static nint CloseRmw<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        if (c->RmwHost == null)
        {
            return CloseRmwSlow<T>(c, op);
        }

        *(T*)c->RmwHost = StatusFlags.Narrow<T>(Operand.R(c, Cpu.Temp0));
        return op[1].Fn(c, op + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint CloseRmwSlow<T>(Cpu* c, Op* op)
        where T : unmanaged
    {
        *(T*)c->Data = StatusFlags.Narrow<T>(Operand.R(c, Cpu.Temp0));
        return Mmu.Write(c, c->RmwAddress, sizeof(T)) ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);
    }

    /// <summary>
    /// Effective address outside 64-bit mode (and with address-size prefixes): cut to Src bytes, checked against the segment
    /// Dst (255: 64-bit mode, no check), then moved by the segment base. Imm: bytes accessed, bit 16 set for a write.
    /// </summary>
    public static nint LegacyAddress(Cpu* c, Op* op)
    {
        ulong offset = Operand.R(c, op->Base) + (Operand.R(c, op->Index) << op->Scale) + (ulong)(long)op->Disp;
        offset = op->Src == 2 ? (ushort)offset : (uint)offset;
        if (op->Dst == 255)
        {
            Operand.R(c, Cpu.AddressSlot, offset + Operand.R(c, op->Seg));
            return op[1].Fn(c, op + 1);
        }

        if (!Segments.Permits(c, op->Dst, offset, (uint)op->Imm & 0xffff, (op->Imm & 0x10000) != 0))
        {
            return Operand.Fault(c, op);
        }

        Operand.R(c, Cpu.AddressSlot, (uint)(offset + Operand.R(c, op->Seg)));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Effective address with a 64-bit displacement (moffs, far RIP-relative): Imm + base + segment.</summary>
    public static nint WideAddress(Cpu* c, Op* op)
    {
        Operand.R(c, Cpu.AddressSlot, (ulong)op->Imm + Operand.R(c, op->Base) + (Operand.R(c, op->Index) << op->Scale) + Operand.R(c, op->Seg));
        return op[1].Fn(c, op + 1);
    }

    public static nint Raise(Cpu* c, Op* op) => Operand.Raise(c, op, (int)op->Imm);

    /// <summary>#GP(0) unless CPL is 0.</summary>
    public static nint RequireCpl0(Cpu* c, Op* op) => c->Cpl == 0 ? op[1].Fn(c, op + 1) : Operand.Raise(c, op, Vectors.GP, 0);
}
