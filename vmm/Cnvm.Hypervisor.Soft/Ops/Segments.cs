using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>Segment registers: limit checks, descriptor fetch and load (SDM vol. 3 chapters 3 and 5).</summary>
internal static unsafe class Segments
{
    public const int ES = 0;
    public const int CS = 1;
    public const int SS = 2;
    public const int DS = 3;
    public const int FS = 4;
    public const int GS = 5;

    public const uint Unusable = 1u << 16;
    public const uint Present = 0x80;
    public const uint NonSystem = 0x10;
    public const uint Code = 8;
    public const uint Conforming = 4;
    public const uint ReadWrite = 2;
    public const uint LongCode = 0x2000;
    public const uint Big = 0x4000;
    public const uint Granular = 0x8000;

    public static bool ProtectedMode(Cpu* c) => (c->Cr0 & ControlBits.CR0_PE) != 0;

    public static bool LongMode(Cpu* c) => (c->Efer & ControlBits.EFER_LMA) != 0;

    public static bool Code64(Cpu* c) => LongMode(c) && (c->Attributes[CS] & LongCode) != 0;

    public static bool Vm86(Cpu* c) => (c->Flags & Rflags.VM) != 0;

    /// <summary>May an access of some bytes at an offset be made? If not, the exception is described. Not for 64-bit mode.</summary>
    public static bool Permits(Cpu* c, int segment, ulong offset, uint size, bool write)
    {
        uint attributes = c->Attributes[segment];
        uint limit = c->Limit[segment];
        bool ok = (attributes & Unusable) == 0;
        if (ok && ProtectedMode(c) && !Vm86(c))
        {
            bool code = (attributes & Code) != 0;
            ok = write ? !code && (attributes & ReadWrite) != 0 : !code || (attributes & ReadWrite) != 0;
        }

        ulong last = offset + size - 1;
        bool expandDown = (attributes & (Code | Conforming)) == Conforming;
        if (expandDown)
        {
            ok = ok && offset > limit && last <= ((attributes & Big) != 0 ? uint.MaxValue : ushort.MaxValue);
        }
        else
        {
            ok = ok && last <= limit;
        }

        if (!ok)
        {
            Mmu.Raise(c, segment == SS ? Vectors.SS : Vectors.GP, 0);
        }

        return ok;
    }

    public static void Set(Cpu* c, int segment, ushort selector, ulong @base, uint limit, uint attributes)
    {
        c->Selector[segment] = selector;
        c->Limit[segment] = limit;
        c->Attributes[segment] = attributes;
        if (segment < 6)
        {
            c->R[18 + segment] = @base;
        }
        else if (segment == Cpu.Tr)
        {
            c->TrBase = @base;
        }
        else
        {
            c->LdtBase = @base;
        }
    }

    public static ulong Base(Cpu* c, int segment) =>
        segment < 6 ? c->R[18 + segment] : segment == Cpu.Tr ? c->TrBase : c->LdtBase;

    public static void SetFromDescriptor(Cpu* c, int segment, ushort selector, ulong descriptor) =>
        Set(c, segment, selector, DescriptorBase(descriptor), DescriptorLimit(descriptor), DescriptorAttributes(descriptor));

    public static ulong DescriptorBase(ulong d) => ((d >> 16) & 0xff_ffff) | ((d >> 32) & 0xff00_0000);

    public static uint DescriptorLimit(ulong d)
    {
        uint limit = (uint)((d & 0xffff) | ((d >> 32) & 0xf_0000));
        return (d & (1ul << 55)) != 0 ? (limit << 12) | 0xfff : limit;
    }

    public static uint DescriptorAttributes(ulong d) => (uint)(d >> 40) & 0xf0ff;

    /// <summary>Reads a descriptor into Data[0] (16 bytes for system descriptors of long mode into Data[1] as well).</summary>
    /// <param name="vector">Exception when the selector lies outside its table.</param>
    public static bool Fetch(Cpu* c, ushort selector, int vector, bool wide, out ulong descriptor, out ulong high)
    {
        descriptor = 0;
        high = 0;
        ulong table = c->GdtBase;
        uint limit = c->GdtLimit;
        if ((selector & 4) != 0)
        {
            table = c->LdtBase;
            limit = (c->Attributes[Cpu.Ldtr] & Unusable) != 0 ? 0 : c->Limit[Cpu.Ldtr];
        }

        uint offset = selector & 0xfff8u;
        if (offset + (wide ? 15u : 7u) > limit)
        {
            Mmu.Raise(c, vector, selector & 0xfffcu);
            return false;
        }

        if (!Mmu.ReadSystem(c, Mmu.Wrap(c, table + offset), wide ? 16 : 8))
        {
            return false;
        }

        descriptor = c->Data[0];
        high = wide ? c->Data[1] : 0;
        return true;
    }

    /// <summary>
    /// The end of every check of a code or data descriptor: #GP when it may not be used, the given exception when it is not present,
    /// otherwise its accessed bit is set, in memory and in the copy.
    /// </summary>
    public static bool Accept(Cpu* c, ushort selector, bool isUsable, int absent, ref ulong descriptor)
    {
        const ulong Accessed = 1ul << 40;
        if (!isUsable || (DescriptorAttributes(descriptor) & Present) == 0)
        {
            Mmu.Raise(c, isUsable ? absent : Vectors.GP, selector & 0xfffcu);
            return false;
        }

        if (!MarkType(c, selector, descriptor, Accessed))
        {
            return false;
        }

        descriptor |= Accessed;
        return true;
    }

    /// <summary>Sets a descriptor's accessed (or busy) bit in memory.</summary>
    public static bool MarkType(Cpu* c, ushort selector, ulong descriptor, ulong bit)
    {
        if ((descriptor & bit) != 0)
        {
            return true;
        }

        ulong table = (selector & 4) != 0 ? c->LdtBase : c->GdtBase;
        c->Data[0] = descriptor | bit;
        return Mmu.WriteSystem(c, Mmu.Wrap(c, table + (selector & 0xfff8u)), 8);
    }

    /// <summary>Loads ES, SS, DS, FS or GS as MOV and POP do.</summary>
    public static bool Load(Cpu* c, int segment, ushort selector)
    {
        if (!ProtectedMode(c) || Vm86(c))
        {
            c->Selector[segment] = selector;
            c->R[18 + segment] = (ulong)selector << 4;
            if (Vm86(c))
            {
                c->Limit[segment] = 0xffff;
                c->Attributes[segment] = 0xf3;
            }

            return true;
        }

        if ((selector & 0xfffc) == 0)
        {
            if (segment == SS && (!Code64(c) || c->Cpl == 3 || (selector & 3) != c->Cpl))
            {
                Mmu.Raise(c, Vectors.GP, 0);
                return false;
            }

            Set(c, segment, selector, 0, 0, segment == SS ? Unusable | (uint)(c->Cpl << 5) : Unusable);
            return true;
        }

        if (!Fetch(c, selector, Vectors.GP, wide: false, out ulong d, out _))
        {
            return false;
        }

        uint attributes = DescriptorAttributes(d);
        uint dpl = (attributes >> 5) & 3;
        uint rpl = selector & 3u;
        bool code = (attributes & Code) != 0;
        bool ok = (attributes & NonSystem) != 0;
        if (segment == SS)
        {
            ok = ok && !code && (attributes & ReadWrite) != 0 && dpl == (uint)c->Cpl && rpl == (uint)c->Cpl;
        }
        else
        {
            ok = ok && (!code || (attributes & ReadWrite) != 0)
                && ((code && (attributes & Conforming) != 0) || (rpl <= dpl && (uint)c->Cpl <= dpl));
        }

        if (!Accept(c, selector, ok, segment == SS ? Vectors.SS : Vectors.NP, ref d))
        {
            return false;
        }

        SetFromDescriptor(c, segment, selector, d);
        return true;
    }

    /// <summary>Makes segment registers that the new privilege may not use null (after a return to an outer level).</summary>
    public static void DropInner(Cpu* c)
    {
        DropInner(c, ES);
        DropInner(c, DS);
        DropInner(c, FS);
        DropInner(c, GS);
    }

    private static void DropInner(Cpu* c, int segment)
    {
        uint attributes = c->Attributes[segment];
        bool conforming = (attributes & (Code | Conforming)) == (Code | Conforming);
        if ((attributes & Unusable) == 0 && !conforming && ((attributes >> 5) & 3) < (uint)c->Cpl)
        {
            Set(c, segment, 0, 0, 0, Unusable);
        }
    }
}
