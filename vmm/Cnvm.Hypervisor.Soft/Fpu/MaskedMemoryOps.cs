using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Vector accesses to memory one element at a time: masked moves and gathers. The address lies in the address slot.</summary>
internal static unsafe class MaskedMemoryOps
{
    private static bool IsChosen(byte* mask, int i, int size) => (mask[(i * size) + size - 1] & 0x80) != 0;

    /// <summary>VMASKMOV, VPMASKMOV loads: mask in Src, Disp bytes an element.</summary>
    public static nint Load(Cpu* c, Op* op)
    {
        int size = op->Disp;
        byte* mask = (byte*)c + op->Src;
        byte* t = (byte*)VexOps.Result(c);
        new Span<byte>(t, 32).Clear();
        int bytes = (op->Scale & VexOps.Wide) != 0 ? 32 : 16;
        ulong a = Operand.R(c, Cpu.AddressSlot);
        for (int i = 0; i < bytes / size; i++)
        {
            if (!IsChosen(mask, i, size))
            {
                continue;
            }

            if (!Mmu.Read(c, a + (uint)(i * size), size))
            {
                return Operand.Fault(c, op);
            }

            Unsafe.CopyBlock(t + (i * size), c->Data, (uint)size);
        }

        Unsafe.CopyBlock((byte*)c + op->Dst, t, 32);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>VMASKMOV, VPMASKMOV, MASKMOVDQU, MASKMOVQ stores of Dst: mask in Src, Disp bytes an element, Imm bytes in all.</summary>
    public static nint Store(Cpu* c, Op* op)
    {
        int size = op->Disp;
        byte* mask = (byte*)c + op->Src;
        byte* value = (byte*)c + op->Dst;
        ulong a = Operand.R(c, Cpu.AddressSlot);
        int count = (int)op->Imm / size;
        // Nothing is written before everything is known to be writable; the byte forms look at the whole range, chosen or not.
        if (size == 1 && !Mmu.ProbeWrite(c, a, count))
        {
            return Operand.Fault(c, op);
        }

        for (int i = 0; i < count; i++)
        {
            if (IsChosen(mask, i, size) && !Mmu.ProbeWrite(c, a + (uint)(i * size), size))
            {
                return Operand.Fault(c, op);
            }
        }

        for (int i = 0; i < count; i++)
        {
            if (!IsChosen(mask, i, size))
            {
                continue;
            }

            Unsafe.CopyBlock(c->Data, value + (i * size), (uint)size);
            if (!Mmu.Write(c, a + (uint)(i * size), size))
            {
                return Operand.Fault(c, op);
            }
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>
    /// Gathers: mask in Src, indices in register Index, Disp their scale's logarithm; Imm bits 7:0 bytes an element, 15:8 bytes an
    /// index, 23:16 count, bit 24: addresses of 32 bits. A fault leaves the elements before it loaded and their masks cleared.
    /// </summary>
    public static nint Gather(Cpu* c, Op* op)
    {
        int size = (int)op->Imm & 0xff;
        int indexSize = (int)(op->Imm >> 8) & 0xff;
        int count = (int)(op->Imm >> 16) & 0xff;
        byte* mask = (byte*)c + op->Src;
        byte* d = (byte*)c + op->Dst;
        byte* indices = (byte*)VexOps.Register(c, op->Index);
        ulong start = Operand.R(c, Cpu.AddressSlot);
        for (int i = 0; i < count; i++)
        {
            if (!IsChosen(mask, i, size))
            {
                continue;
            }

            long index = indexSize == 4 ? ((int*)indices)[i] : ((long*)indices)[i];
            ulong a = start + ((ulong)index << op->Disp);
            a = (op->Imm & 0x100_0000) != 0 ? (uint)a : a;
            if (!Mmu.Read(c, a, size))
            {
                return Operand.Fault(c, op);
            }

            Unsafe.CopyBlock(d + (i * size), c->Data, (uint)size);
            new Span<byte>(mask + (i * size), size).Clear();
        }

        new Span<byte>(mask, 32).Clear();
        new Span<byte>(d + (count * size), 32 - (count * size)).Clear();
        return op[1].Fn(c, op + 1);
    }
}
