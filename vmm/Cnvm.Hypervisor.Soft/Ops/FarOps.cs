using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>Far transfers: JMP, CALL, RET, IRET, INT (SDM vol. 3 §5.8, §6.12). All end the block.</summary>
internal static unsafe class FarOps
{
    /// <summary>Far JMP or CALL to an immediate pointer: offset in Imm, selector in Src, operand size in Scale, Dst: 1 for CALL.</summary>
    public static nint Direct(Cpu* c, Op* op) => Transfer(c, op, (ushort)op->Src, (ulong)op->Imm);

    /// <summary>Far JMP or CALL through memory.</summary>
    public static nint Indirect(Cpu* c, Op* op)
    {
        if (!Mmu.Read(c, Operand.Address(c, op), op->Src + 2))
        {
            return Operand.Fault(c, op);
        }

        ulong offset = StackOps.Cut(c->Data[0], op->Src);
        return Transfer(c, op, *(ushort*)((byte*)c->Data + op->Src), offset, op->Src);
    }

    private static nint Transfer(Cpu* c, Op* op, ushort selector, ulong target) => Transfer(c, op, selector, target, op->Scale);

    private static nint Transfer(Cpu* c, Op* op, ushort selector, ulong target, int size)
    {
        bool call = op->Dst == 1;
        ulong sp = c->R[4];
        ulong next = c->R[17] + op->NextDelta;
        ushort oldSelector = c->Selector[Segments.CS];
        if (!Segments.ProtectedMode(c) || Segments.Vm86(c))
        {
            if (call && (!StackOps.Push(c, oldSelector, size) || !StackOps.Push(c, next, size)))
            {
                c->R[4] = sp;
                return Operand.Fault(c, op);
            }

            c->Selector[Segments.CS] = selector;
            c->R[19] = (ulong)selector << 4;
            return Arrive(c, op, StackOps.Cut(target, size));
        }

        if ((selector & 0xfffc) != 0 && Segments.Fetch(c, selector, Vectors.GP, wide: false, out ulong gate, out _) && CallGates.IsGate(c, gate))
        {
            return CallGates.Enter(c, selector, gate, call, next) ? Arrive(c, op, c->R[17]) : Operand.Fault(c, op);
        }

        if (!FetchCode(c, selector, (uint)c->Cpl, call: true, out ulong d))
        {
            return Operand.Fault(c, op);
        }

        if (IsBeyond(c, d, target))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        if (call && (!StackOps.Push(c, oldSelector, size) || !StackOps.Push(c, next, size)))
        {
            c->R[4] = sp;
            return Operand.Fault(c, op);
        }

        Segments.SetFromDescriptor(c, Segments.CS, (ushort)((selector & 0xfffc) | c->Cpl), d);
        return Arrive(c, op, target);
    }

    /// <summary>Is a target outside the code segment? Not before 64-bit code, which has no limit.</summary>
    private static bool IsBeyond(Cpu* c, ulong descriptor, ulong target) => Segments.LongMode(c)
        && (Segments.DescriptorAttributes(descriptor) & Segments.LongCode) != 0
            ? !Mmu.IsCanonical(target)
            : target > Segments.DescriptorLimit(descriptor);

    /// <summary>Fetches and checks a code segment descriptor for a jump, call (same privilege) or return to a level.</summary>
    private static bool FetchCode(Cpu* c, ushort selector, uint level, bool call, out ulong d)
    {
        d = 0;
        if ((selector & 0xfffc) == 0)
        {
            Mmu.Raise(c, Vectors.GP, 0);
            return false;
        }

        if (!Segments.Fetch(c, selector, Vectors.GP, wide: false, out d, out _))
        {
            return false;
        }

        uint attributes = Segments.DescriptorAttributes(d);
        uint dpl = (attributes >> 5) & 3;
        bool conforming = (attributes & Segments.Conforming) != 0;
        bool ok = (attributes & (Segments.NonSystem | Segments.Code)) == (Segments.NonSystem | Segments.Code);
        ok = ok && (call ? (conforming ? dpl <= level : dpl == level && (selector & 3) <= level) : conforming ? dpl <= level : dpl == level);
        if (ok && Segments.LongMode(c) && (attributes & (Segments.LongCode | Segments.Big)) == (Segments.LongCode | Segments.Big))
        {
            ok = false;
        }

        return Segments.Accept(c, selector, ok, Vectors.NP, ref d);
    }

    /// <summary>Far RET: Imm bytes of arguments to drop, operand size in Scale.</summary>
    public static nint Ret(Cpu* c, Op* op)
    {
        int size = op->Scale;
        ulong sp = c->R[4];
        if (!StackOps.Pop(c, size))
        {
            return Operand.Fault(c, op);
        }

        ulong target = c->Data[0];
        if (!StackOps.Pop(c, size))
        {
            c->R[4] = sp;
            return Operand.Fault(c, op);
        }

        ushort selector = (ushort)c->Data[0];
        StackOps.SetPointer(c, c->R[4] + (ulong)op->Imm);
        if (!Segments.ProtectedMode(c) || Segments.Vm86(c))
        {
            c->Selector[Segments.CS] = selector;
            c->R[19] = (ulong)selector << 4;
            return Arrive(c, op, target);
        }

        return ReturnTo(c, op, selector, target, size, sp, iret: false, 0, (ulong)op->Imm);
    }

    /// <summary>IRET: operand size in Scale.</summary>
    public static nint Iret(Cpu* c, Op* op)
    {
        int size = op->Scale;
        ulong sp = c->R[4];
        if (Segments.LongMode(c) && (c->Flags & Rflags.NT) != 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        if (!StackOps.Pop(c, size))
        {
            return Operand.Fault(c, op);
        }

        ulong target = c->Data[0];
        if (!StackOps.Pop(c, size))
        {
            c->R[4] = sp;
            return Operand.Fault(c, op);
        }

        ushort selector = (ushort)c->Data[0];
        if (!StackOps.Pop(c, size))
        {
            c->R[4] = sp;
            return Operand.Fault(c, op);
        }

        ulong flags = c->Data[0];
        SoftVcpu.Of(c).NmiDone();
        if (!Segments.ProtectedMode(c))
        {
            c->Selector[Segments.CS] = selector;
            c->R[19] = (ulong)selector << 4;
            FlagOps.Write(c, flags, size, keepResume: true);
            return Arrive(c, op, target);
        }

        return ReturnTo(c, op, selector, target, size, sp, iret: true, flags, 0);
    }

    private static nint ReturnTo(Cpu* c, Op* op, ushort selector, ulong target, int size, ulong sp, bool iret, ulong flags, ulong drop)
    {
        uint level = selector & 3u;
        if (level < (uint)c->Cpl && (selector & 0xfffc) != 0)
        {
            c->R[4] = sp;
            return Segments.Fetch(c, selector, Vectors.GP, wide: false, out _, out _)
                ? Operand.Raise(c, op, Vectors.GP, selector & 0xfffcu)
                : Operand.Fault(c, op);
        }

        if (!FetchCode(c, selector, level, call: false, out ulong code))
        {
            c->R[4] = sp;
            return Operand.Fault(c, op);
        }

        bool outer = level != (uint)c->Cpl;
        bool to64 = Segments.LongMode(c) && (Segments.DescriptorAttributes(code) & Segments.LongCode) != 0;
        bool isBeyond = to64 ? !Mmu.IsCanonical(target) : (uint)target > Segments.DescriptorLimit(code);

        // In 64-bit mode IRET takes SS:RSP off the stack always, otherwise only on the way out.
        if (outer || (iret && Segments.Code64(c)))
        {
            if (!StackOps.Pop(c, size))
            {
                c->R[4] = sp;
                return Operand.Fault(c, op);
            }

            ulong newSp = c->Data[0];
            if (!StackOps.Pop(c, size))
            {
                c->R[4] = sp;
                return Operand.Fault(c, op);
            }

            ushort newSs = (ushort)c->Data[0];
            if (!FetchStack(c, newSs, level, to64, out ulong stack))
            {
                c->R[4] = sp;
                return Operand.Fault(c, op);
            }

            if (isBeyond)
            {
                c->R[4] = sp;
                return Operand.Raise(c, op, Vectors.GP, 0);
            }

            if (iret)
            {
                FlagOps.Write(c, flags, size, keepResume: true);
            }

            c->Cpl = (int)level;
            Segments.SetFromDescriptor(c, Segments.CS, selector, code);
            if ((newSs & 0xfffc) == 0)
            {
                Segments.Set(c, Segments.SS, newSs, 0, 0, Segments.Unusable | (level << 5));
            }
            else
            {
                Segments.SetFromDescriptor(c, Segments.SS, newSs, stack);
            }

            if (to64)
            {
                c->R[4] = newSp;
            }
            else
            {
                StackOps.SetPointer(c, newSp);
            }

            if (drop != 0)
            {
                StackOps.SetPointer(c, c->R[4] + drop);
            }

            if (outer)
            {
                Segments.DropInner(c);
            }
        }
        else if (isBeyond)
        {
            c->R[4] = sp;
            return Operand.Raise(c, op, Vectors.GP, 0);
        }
        else
        {
            if (iret)
            {
                FlagOps.Write(c, flags, size, keepResume: true);
            }

            Segments.SetFromDescriptor(c, Segments.CS, selector, code);
        }

        return Arrive(c, op, to64 ? target : (uint)target);
    }

    /// <summary>Stack segment for a level; a null one is allowed when returning to 64-bit code below level 3.</summary>
    private static bool FetchStack(Cpu* c, ushort selector, uint level, bool to64, out ulong d)
    {
        d = 0;
        if ((selector & 0xfffc) == 0)
        {
            if (to64 && level != 3)
            {
                return true;
            }

            Mmu.Raise(c, Vectors.GP, 0);
            return false;
        }

        if ((selector & 3) != level)
        {
            Mmu.Raise(c, Vectors.GP, selector & 0xfffcu);
            return false;
        }

        if (!Segments.Fetch(c, selector, Vectors.GP, wide: false, out d, out _))
        {
            return false;
        }

        uint attributes = Segments.DescriptorAttributes(d);
        uint kind = attributes & (Segments.NonSystem | Segments.Code | Segments.ReadWrite);
        bool ok = kind == (Segments.NonSystem | Segments.ReadWrite) && ((attributes >> 5) & 3) == level;
        return Segments.Accept(c, selector, ok, Vectors.SS, ref d);
    }

    /// <summary>INT n (Imm), INT3 (Scale 1) and INTO: software interrupts.</summary>
    public static nint Interrupt(Cpu* c, Op* op)
    {
        SoftVcpu vcpu = SoftVcpu.Of(c);
        ulong block = c->R[17];
        c->R[17] = block + op->NextDelta;
        if (!vcpu.Deliver((int)op->Imm, hasError: false, 0, software: true))
        {
            // The fault is the instruction's own.
            c->R[17] = block + op->RipDelta;
            return Exit.Exception;
        }

        c->InstructionCount += op->Count;
        return Exit.Lookup;
    }

    public static nint Into(Cpu* c, Op* op) => StatusFlags.Overflow(c) ? Interrupt(c, op) : op[1].Fn(c, op + 1);

    private static nint Arrive(Cpu* c, Op* op, ulong target)
    {
        c->R[17] = target;
        c->InstructionCount += op->Count;
        SoftVcpu.UpdateMode(c);
        SoftVcpu.NoticeInterrupts(c);
        return Exit.Lookup;
    }
}
