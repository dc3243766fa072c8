using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>Far JMP and CALL through call gates (SDM vol. 3 §5.8.3 to §5.8.5; APM vol. 2 §4.11.2).</summary>
internal static unsafe class CallGates
{
    private const uint Gate16 = 4;
    private const uint Gate32 = 12;

    public static bool IsGate(Cpu* c, ulong descriptor)
    {
        uint type = Segments.DescriptorAttributes(descriptor) & 0x1f;
        return type == Gate32 || (type == Gate16 && !Segments.LongMode(c));
    }

    /// <summary>Goes through the gate: CS, RIP and perhaps the stack are then new. False with an exception described.</summary>
    /// <param name="next">Where a call returns to.</param>
    public static bool Enter(Cpu* c, ushort selector, ulong gate, bool call, ulong next)
    {
        uint gateError = selector & 0xfffcu;
        uint attributes = Segments.DescriptorAttributes(gate);
        uint dpl = (attributes >> 5) & 3;
        if (dpl < (uint)c->Cpl || dpl < (selector & 3u))
        {
            Mmu.Raise(c, Vectors.GP, gateError);
            return false;
        }

        if ((attributes & Segments.Present) == 0)
        {
            Mmu.Raise(c, Vectors.NP, gateError);
            return false;
        }

        bool wide = Segments.LongMode(c);
        ulong high = 0;
        if (wide)
        {
            if (!Segments.Fetch(c, selector, Vectors.GP, wide: true, out _, out high))
            {
                return false;
            }

            if (((high >> 40) & 0x1f) != 0)
            {
                Mmu.Raise(c, Vectors.GP, gateError);
                return false;
            }
        }

        int size = wide ? 8 : (attributes & 8) != 0 ? 4 : 2;
        ulong target = (gate & 0xffff) | (size == 2 ? 0 : (gate >> 32) & 0xffff_0000) | (high << 32);
        ushort codeSelector = (ushort)(gate >> 16);
        if (!FetchCode(c, codeSelector, call, wide, out ulong code))
        {
            return false;
        }

        if (wide && !Mmu.IsCanonical(target))
        {
            Mmu.Raise(c, Vectors.GP, 0);
            return false;
        }

        if (!wide && target > Segments.DescriptorLimit(code))
        {
            Mmu.Raise(c, Vectors.GP, 0);
            return false;
        }

        uint codeAttributes = Segments.DescriptorAttributes(code);
        int level = (codeAttributes & Segments.Conforming) != 0 ? c->Cpl : (int)(codeAttributes >> 5) & 3;
        if (call && !(wide ? PushWide(c, level, next) : PushLegacy(c, level, next, size, (int)(gate >> 32) & 31)))
        {
            return false;
        }

        Segments.SetFromDescriptor(c, Segments.CS, (ushort)((codeSelector & 0xfffc) | level), code);
        c->R[17] = target;
        return true;
    }

    private static bool FetchCode(Cpu* c, ushort selector, bool call, bool wide, out ulong code)
    {
        code = 0;
        if ((selector & 0xfffc) == 0)
        {
            Mmu.Raise(c, Vectors.GP, 0);
            return false;
        }

        if (!Segments.Fetch(c, selector, Vectors.GP, wide: false, out code, out _))
        {
            return false;
        }

        uint attributes = Segments.DescriptorAttributes(code);
        uint dpl = (attributes >> 5) & 3;
        bool ok = (attributes & (Segments.NonSystem | Segments.Code)) == (Segments.NonSystem | Segments.Code)
            && (call || (attributes & Segments.Conforming) != 0 ? dpl <= (uint)c->Cpl : dpl == (uint)c->Cpl)
            && (!wide || (attributes & (Segments.LongCode | Segments.Big)) == Segments.LongCode);
        return Segments.Accept(c, selector, ok, Vectors.NP, ref code);
    }

    /// <summary>Return address, and behind a change of level the old stack, in the slots of 64-bit mode.</summary>
    private static bool PushWide(Cpu* c, int level, ulong next)
    {
        int cpl = c->Cpl;
        ulong sp = Segments.Code64(c) ? c->R[4] : (uint)c->R[4];
        int words = 2;
        if (level < cpl)
        {
            uint slot = 4 + ((uint)level * 8);
            if (slot + 7 > c->Limit[Cpu.Tr])
            {
                Mmu.Raise(c, Vectors.TS, c->Selector[Cpu.Tr] & 0xfffcu);
                return false;
            }

            if (!Mmu.ReadSystem(c, c->TrBase + slot, 8))
            {
                return false;
            }

            sp = c->Data[0];
            words = 4;
        }

        ulong at = sp - ((uint)words * 8);
        if (!Mmu.IsCanonical(at))
        {
            Mmu.Raise(c, Vectors.SS, 0);
            return false;
        }

        c->Data[0] = next;
        c->Data[1] = c->Selector[Segments.CS];
        c->Data[2] = c->R[4];
        c->Data[3] = c->Selector[Segments.SS];
        c->Cpl = level;
        Mmu.SelectTlb(c);
        if (!Mmu.Write(c, at, words * 8))
        {
            c->Cpl = cpl;
            Mmu.SelectTlb(c);
            return false;
        }

        c->R[4] = at;
        if (level < cpl)
        {
            Segments.Set(c, Segments.SS, (ushort)level, 0, 0, Segments.Unusable | (uint)(level << 5));
        }

        return true;
    }

    /// <summary>As <see cref="PushWide"/>, with the arguments that the gate counts copied from the old stack.</summary>
    private static bool PushLegacy(Cpu* c, int level, ulong next, int size, int arguments)
    {
        ushort cs = c->Selector[Segments.CS];
        ulong sp = c->R[4];
        if (level == c->Cpl)
        {
            if (StackOps.Push(c, cs, size) && StackOps.Push(c, next, size))
            {
                return true;
            }

            c->R[4] = sp;
            return false;
        }

        ushort ss = c->Selector[Segments.SS];
        ulong ssBase = c->R[20];
        uint ssLimit = c->Limit[Segments.SS];
        uint ssAttributes = c->Attributes[Segments.SS];
        int cpl = c->Cpl;
        uint* copied = stackalloc uint[32];
        for (int i = 0; i < arguments; i++)
        {
            if (!StackOps.Pop(c, size))
            {
                c->R[4] = sp;
                return false;
            }

            copied[i] = (uint)c->Data[0];
        }

        c->R[4] = sp;
        bool ok = SoftVcpu.Of(c).LoadInnerStack(level, external: 0) && StackOps.Push(c, ss, size) && StackOps.Push(c, sp, size);
        for (int i = arguments - 1; ok && i >= 0; i--)
        {
            ok = StackOps.Push(c, copied[i], size);
        }

        ok = ok && StackOps.Push(c, cs, size) && StackOps.Push(c, next, size);
        if (!ok)
        {
            Segments.Set(c, Segments.SS, ss, ssBase, ssLimit, ssAttributes);
            c->R[4] = sp;
            c->Cpl = cpl;
            Mmu.SelectTlb(c);
        }

        return ok;
    }
}
