using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM vol. 2 §4.1).</summary>
internal static unsafe class StringCompare
{
    /// <summary>Disp: control byte; Imm bit 0: explicit lengths, bit 1: mask result; Scale: size of the length registers.</summary>
    public static nint Run(Cpu* c, Op* op)
    {
        int control = op->Disp;
        bool words = (control & 1) != 0;
        bool signed = (control & 2) != 0;
        int count = words ? 8 : 16;
        byte* a = (byte*)c + op->Dst;
        byte* b = (byte*)c + op->Src;
        int lengthA = (op->Imm & 1) != 0 ? ExplicitLength(c, 0, op->Scale, count) : ImplicitLength(a, words, count);
        int lengthB = (op->Imm & 1) != 0 ? ExplicitLength(c, 2, op->Scale, count) : ImplicitLength(b, words, count);
        uint result = Aggregate(a, b, lengthA, lengthB, (control >> 2) & 3, words, signed, count);
        uint all = words ? 0xffu : 0xffffu;
        switch ((control >> 4) & 3)
        {
            case 1:
                result = ~result & all;
                break;
            case 3:
                result ^= (lengthB >= count ? all : (1u << lengthB) - 1) & all;
                break;
            default:
                break;
        }

        ulong flags = (result != 0 ? Rflags.CF : 0) | (lengthB < count ? Rflags.ZF : 0) | (lengthA < count ? Rflags.SF : 0)
            | ((result & 1) != 0 ? Rflags.OF : 0);
        StatusFlags.Set(c, flags);
        if ((op->Imm & 2) != 0)
        {
            WriteMask(c, result, words, count, (control & 0x40) != 0);
        }
        else
        {
            int index = result == 0 ? count
                : (control & 0x40) != 0 ? System.Numerics.BitOperations.Log2(result) : System.Numerics.BitOperations.TrailingZeroCount(result);
            c->R[1] = (uint)index;
        }

        return op[1].Fn(c, op + 1);
    }

    private static void WriteMask(Cpu* c, uint result, bool words, int count, bool expand)
    {
        ulong* xmm0 = (ulong*)((byte*)c + Cpu.VectorOffset);
        xmm0[0] = expand ? 0 : result;
        xmm0[1] = 0;
        if (!expand)
        {
            return;
        }

        for (int i = 0; i < count; i++)
        {
            if ((result & (1u << i)) != 0)
            {
                if (words)
                {
                    ((ushort*)xmm0)[i] = 0xffff;
                }
                else
                {
                    ((byte*)xmm0)[i] = 0xff;
                }
            }
        }
    }

    private static int ExplicitLength(Cpu* c, int register, int size, int count)
    {
        long v = size == 8 ? (long)c->R[register] : (int)c->R[register];
        ulong magnitude = v < 0 ? 0 - (ulong)v : (ulong)v;
        return (int)Math.Min(magnitude, (ulong)count);
    }

    private static int ImplicitLength(byte* p, bool words, int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (Element(p, i, words, signed: false) == 0)
            {
                return i;
            }
        }

        return count;
    }

    private static int Element(byte* p, int i, bool words, bool signed) =>
        words
            ? signed ? ((short*)p)[i] : ((ushort*)p)[i]
            : signed ? ((sbyte*)p)[i] : p[i];

    private static uint Aggregate(byte* a, byte* b, int lengthA, int lengthB, int mode, bool words, bool signed, int count)
    {
        uint result = 0;
        for (int j = 0; j < count; j++)
        {
            bool bit = mode == 2 || mode == 3;
            switch (mode)
            {
                case 0:
                    for (int i = 0; i < lengthA && j < lengthB; i++)
                    {
                        bit |= Element(a, i, words, signed) == Element(b, j, words, signed);
                    }

                    break;
                case 1:
                    for (int i = 0; i + 1 < lengthA && j < lengthB; i += 2)
                    {
                        int v = Element(b, j, words, signed);
                        bit |= v >= Element(a, i, words, signed) && v <= Element(a, i + 1, words, signed);
                    }

                    break;
                case 2:
                    bit = j < lengthA && j < lengthB ? Element(a, j, words, signed) == Element(b, j, words, signed) : j >= lengthA && j >= lengthB;
                    break;
                default:
                    for (int i = 0; i < lengthA && i + j < count; i++)
                    {
                        bit &= i + j < lengthB && Element(a, i, words, signed) == Element(b, i + j, words, signed);
                    }

                    break;
            }

            result |= bit ? 1u << j : 0;
        }

        return result;
    }
}
