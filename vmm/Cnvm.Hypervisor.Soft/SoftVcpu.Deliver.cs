using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft;

/// <summary>Delivery of exceptions and interrupts through the IVT or IDT (SDM vol. 3 chapter 6).</summary>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>Contributory exceptions: two of them in a row make a double fault (SDM vol. 3 table 6-5).</summary>
    private static bool IsContributory(int vector) => vector is Vectors.DE or Vectors.TS or Vectors.NP or Vectors.SS or Vectors.GP;

    /// <summary>Delivers the exception that the state describes; faults met on the way become double and triple faults.</summary>
    private void DeliverException()
    {
        Cpu* c = _c;
        int vector = c->ExcVector;
        uint error = c->ExcError;
        bool hasError = c->ExcHasError != 0;
        for (; ; )
        {
            if (vector == Vectors.PF)
            {
                c->Cr2 = c->ExcCr2;
            }

            if (Deliver(vector, hasError && Segments.ProtectedMode(c), error, software: false))
            {
                if (vector == Vectors.DB)
                {
                    c->Dr[7] &= ~Dr6.Dr7GeneralDetect;
                }

                return;
            }

            int second = c->ExcVector;
            if (second == Vectors.PF)
            {
                // Whatever becomes of it.
                c->Cr2 = c->ExcCr2;
            }

            if (vector == Vectors.DF)
            {
                _stop = new VcpuStop(VcpuStopReason.Shutdown);
                return;
            }

            bool twofold = (IsContributory(vector) && IsContributory(second))
                || (vector == Vectors.PF && (second == Vectors.PF || IsContributory(second)));
            vector = twofold ? Vectors.DF : second;
            error = twofold ? 0 : c->ExcError;
            hasError = twofold || c->ExcHasError != 0;
        }
    }

    private void DeliverInterrupt(int vector)
    {
        ExitCounters.Interrupted++;
        if (!Deliver(vector, hasError: false, 0, software: false))
        {
            DeliverException();
        }
    }

    /// <summary>Enters a handler; false when delivering met an exception, which the state then describes.</summary>
    /// <param name="software">INT n: the gate's DPL is checked.</param>
    public bool Deliver(int vector, bool hasError, uint error, bool software)
    {
        Cpu* c = _c;
        if (!Segments.ProtectedMode(c))
        {
            return DeliverReal(vector);
        }

        ulong flags = StatusFlags.GetRflags(c);
        if (!software && vector < 32 && vector is not (Vectors.NMI or Vectors.DB))
        {
            flags |= Rflags.RF;
        }

        return Segments.LongMode(c)
            ? DeliverLong(vector, hasError, error, software, flags)
            : DeliverProtected(vector, hasError, error, software, flags);
    }

    private bool DeliverReal(int vector)
    {
        Cpu* c = _c;
        uint at = (uint)vector * 4;
        if (at + 3 > c->IdtLimit)
        {
            Mmu.RaiseNoError(c, Vectors.GP);
            return false;
        }

        if (!Mmu.ReadSystem(c, c->IdtBase + at, 4))
        {
            return false;
        }

        uint target = (uint)c->Data[0];
        ulong sp = c->R[4];
        if (!StackOps.Push(c, StatusFlags.GetRflags(c), 2) || !StackOps.Push(c, c->Selector[Segments.CS], 2)
            || !StackOps.Push(c, c->R[17], 2))
        {
            c->R[4] = sp;
            return false;
        }

        c->Flags &= ~(Rflags.IF | Rflags.TF | Rflags.AC | Rflags.RF);
        c->Selector[Segments.CS] = (ushort)(target >> 16);
        c->R[19] = (ulong)(target >> 16) << 4;
        c->R[17] = (ushort)target;
        UpdateMode();
        return true;
    }

    /// <summary>Checks the gate and the code segment it names.</summary>
    private bool CheckGate(uint gateError, uint type, uint dpl, bool present, ushort selector, bool software, out ulong code)
    {
        Cpu* c = _c;
        code = 0;
        uint external = gateError & 1;
        bool known = type is 0xe or 0xf || (!Segments.LongMode(c) && type is 6 or 7);
        if (!known || (software && dpl < (uint)c->Cpl))
        {
            Mmu.Raise(c, Vectors.GP, gateError);
            return false;
        }

        if (!present)
        {
            Mmu.Raise(c, Vectors.NP, gateError);
            return false;
        }

        if ((selector & 0xfffc) == 0)
        {
            Mmu.Raise(c, Vectors.GP, external);
            return false;
        }

        if (!Segments.Fetch(c, selector, Vectors.GP, wide: false, out code, out _))
        {
            c->ExcError |= external;
            return false;
        }

        uint attributes = Segments.DescriptorAttributes(code);
        bool ok = (attributes & (Segments.NonSystem | Segments.Code)) == (Segments.NonSystem | Segments.Code)
            && ((attributes >> 5) & 3) <= (uint)c->Cpl
            && (!Segments.LongMode(c) || (attributes & (Segments.LongCode | Segments.Big)) == Segments.LongCode);
        if (!ok)
        {
            Mmu.Raise(c, Vectors.GP, (selector & 0xfffcu) | external);
            return false;
        }

        if ((attributes & Segments.Present) == 0)
        {
            Mmu.Raise(c, Vectors.NP, (selector & 0xfffcu) | external);
            return false;
        }

        return true;
    }

    private bool DeliverLong(int vector, bool hasError, uint error, bool software, ulong flags)
    {
        Cpu* c = _c;
        uint gateError = ((uint)vector * 8) | 2 | (software ? 0u : 1);
        uint at = (uint)vector * 16;
        if (at + 15 > c->IdtLimit)
        {
            Mmu.Raise(c, Vectors.GP, gateError);
            return false;
        }

        if (!Mmu.ReadSystem(c, c->IdtBase + at, 16))
        {
            return false;
        }

        ulong low = c->Data[0];
        ulong target = (low & 0xffff) | ((low >> 32) & 0xffff_0000) | (c->Data[1] << 32);
        ushort selector = (ushort)(low >> 16);
        uint type = (uint)(low >> 40) & 0x1f;
        int ist = (int)(low >> 32) & 7;
        if (!CheckGate(gateError, type, (uint)(low >> 45) & 3, (low & (1ul << 47)) != 0, selector, software, out ulong code))
        {
            return false;
        }

        uint attributes = Segments.DescriptorAttributes(code);
        int level = (attributes & Segments.Conforming) != 0 ? c->Cpl : (int)(attributes >> 5) & 3;
        ulong sp = c->R[4];
        if (ist != 0 || level < c->Cpl)
        {
            uint slot = ist != 0 ? 0x24 + ((uint)(ist - 1) * 8) : 4 + ((uint)level * 8);
            if (slot + 7 > c->Limit[Cpu.Tr])
            {
                Mmu.Raise(c, Vectors.TS, (c->Selector[Cpu.Tr] & 0xfffcu) | (gateError & 1));
                return false;
            }

            if (!Mmu.ReadSystem(c, c->TrBase + slot, 8))
            {
                return false;
            }

            sp = c->Data[0];
            if (!Mmu.IsCanonical(sp))
            {
                Mmu.Raise(c, Vectors.SS, gateError & 1);
                return false;
            }
        }

        sp &= ~15ul;
        uint bytes = hasError ? 48u : 40u;
        ulong* frame = c->Data;
        int i = 0;
        if (hasError)
        {
            frame[i++] = error;
        }

        frame[i++] = c->R[17];
        frame[i++] = c->Selector[Segments.CS];
        frame[i++] = flags;
        frame[i++] = c->R[4];
        frame[i] = c->Selector[Segments.SS];

        // The frame is written with the rights of the handler's level.
        int cpl = c->Cpl;
        c->Cpl = level;
        Mmu.SelectTlb(c);
        bool written;
        if (!Mmu.IsCanonical(sp - bytes))
        {
            Mmu.Raise(c, Vectors.SS, 0);
            written = false;
        }
        else
        {
            written = Mmu.Write(c, sp - bytes, (int)bytes);
            if (!written && c->ExcVector == Vectors.PF && ((sp - 8) ^ (sp - bytes)) < 0x1000)
            {
                // The stack grows down: the first push is the one that faults.
                c->ExcCr2 = sp - 8;
            }
        }

        if (!written)
        {
            c->Cpl = cpl;
            Mmu.SelectTlb(c);
            return false;
        }

        c->R[4] = sp - bytes;
        if (level != cpl)
        {
            Segments.Set(c, Segments.SS, (ushort)level, 0, 0, Segments.Unusable | (uint)(level << 5));
        }

        Segments.SetFromDescriptor(c, Segments.CS, (ushort)((selector & 0xfffc) | level), code | (1ul << 40));
        EnterHandler(target, type);
        return true;
    }

    private void EnterHandler(ulong target, uint type)
    {
        Cpu* c = _c;
        c->R[17] = target;
        c->Flags &= ~(Rflags.TF | Rflags.NT | Rflags.RF | Rflags.VM);
        if ((type & 1) == 0)
        {
            c->Flags &= ~Rflags.IF;
        }

        UpdateMode();
    }

    /// <summary>Gates of 16- and 32-bit protected mode. Task gates and virtual-8086 mode do not exist here.</summary>
    private bool DeliverProtected(int vector, bool hasError, uint error, bool software, ulong flags)
    {
        Cpu* c = _c;
        uint gateError = ((uint)vector * 8) | 2 | (software ? 0u : 1);
        uint at = (uint)vector * 8;
        if (at + 7 > c->IdtLimit)
        {
            Mmu.Raise(c, Vectors.GP, gateError);
            return false;
        }

        if (!Mmu.ReadSystem(c, (uint)(c->IdtBase + at), 8))
        {
            return false;
        }

        ulong gate = c->Data[0];
        ushort selector = (ushort)(gate >> 16);
        uint type = (uint)(gate >> 40) & 0x1f;
        int size = type >= 8 ? 4 : 2;
        ulong target = (gate & 0xffff) | (size == 4 ? (gate >> 32) & 0xffff_0000 : 0);
        if (!CheckGate(gateError, type, (uint)(gate >> 45) & 3, (gate & (1ul << 47)) != 0, selector, software, out ulong code))
        {
            return false;
        }

        uint attributes = Segments.DescriptorAttributes(code);
        if (target > Segments.DescriptorLimit(code))
        {
            Mmu.Raise(c, Vectors.GP, gateError & 1);
            return false;
        }

        int level = (attributes & Segments.Conforming) != 0 ? c->Cpl : (int)(attributes >> 5) & 3;
        ulong oldSp = c->R[4];
        ushort oldSs = c->Selector[Segments.SS];
        ulong ssBase = c->R[20];
        uint ssLimit = c->Limit[Segments.SS];
        uint ssAttributes = c->Attributes[Segments.SS];
        int cpl = c->Cpl;
        if (level < cpl && !LoadInnerStack(level, gateError & 1))
        {
            return false;
        }

        bool ok = level == cpl || (StackOps.Push(c, oldSs, size) && StackOps.Push(c, oldSp, size));
        ok = ok && StackOps.Push(c, flags, size) && StackOps.Push(c, c->Selector[Segments.CS], size) && StackOps.Push(c, c->R[17], size)
            && (!hasError || StackOps.Push(c, error, size));
        if (!ok)
        {
            Segments.Set(c, Segments.SS, oldSs, ssBase, ssLimit, ssAttributes);
            c->R[4] = oldSp;
            c->Cpl = cpl;
            Mmu.SelectTlb(c);
            return false;
        }

        Segments.SetFromDescriptor(c, Segments.CS, (ushort)((selector & 0xfffc) | level), code | (1ul << 40));
        EnterHandler(target, type);
        return true;
    }

    /// <summary>SS:ESP for an inner level from the TSS of protected mode, of 32 or 16 bits.</summary>
    /// <param name="external">The lowest bit of error codes.</param>
    public bool LoadInnerStack(int level, uint external)
    {
        Cpu* c = _c;
        bool narrow = (c->Attributes[Cpu.Tr] & 8) == 0;
        uint slot = narrow ? 2 + ((uint)level * 4) : 4 + ((uint)level * 8);
        if (slot + (narrow ? 3u : 7) > c->Limit[Cpu.Tr])
        {
            Mmu.Raise(c, Vectors.TS, (c->Selector[Cpu.Tr] & 0xfffcu) | external);
            return false;
        }

        if (!Mmu.ReadSystem(c, c->TrBase + slot, narrow ? 4 : 8))
        {
            return false;
        }

        uint esp = narrow ? (ushort)c->Data[0] : (uint)c->Data[0];
        ushort ss = (ushort)(c->Data[0] >> (narrow ? 16 : 32));
        uint error = (ss & 0xfffcu) | external;
        if ((ss & 0xfffc) == 0 || (ss & 3) != level)
        {
            Mmu.Raise(c, Vectors.TS, error);
            return false;
        }

        if (!Segments.Fetch(c, ss, Vectors.TS, wide: false, out ulong d, out _))
        {
            if (c->ExcVector == Vectors.TS)
            {
                c->ExcError |= external;
            }

            return false;
        }

        uint attributes = Segments.DescriptorAttributes(d);
        uint kind = attributes & (Segments.NonSystem | Segments.Code | Segments.ReadWrite);
        if (kind != (Segments.NonSystem | Segments.ReadWrite) || ((attributes >> 5) & 3) != (uint)level)
        {
            Mmu.Raise(c, Vectors.TS, error);
            return false;
        }

        if ((attributes & Segments.Present) == 0)
        {
            Mmu.Raise(c, Vectors.SS, error);
            return false;
        }

        if (!Segments.MarkType(c, ss, d, 1ul << 40))
        {
            return false;
        }

        c->Cpl = level;
        Mmu.SelectTlb(c);
        Segments.SetFromDescriptor(c, Segments.SS, ss, d | (1ul << 40));
        StackOps.SetPointer(c, esp);
        return true;
    }
}
