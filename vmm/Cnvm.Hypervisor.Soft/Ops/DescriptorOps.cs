using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>Segment register moves and descriptor tables.</summary>
internal static unsafe class DescriptorOps
{
    /// <summary>MOV Sreg, r: segment in Dst. Ends the block, as limits and modes may change.</summary>
    public static nint LoadSegment(Cpu* c, Op* op)
    {
        if (!Segments.Load(c, op->Dst, Operand.Src<ushort>(c, op)))
        {
            return Operand.Fault(c, op);
        }

        if (op->Dst == Segments.SS)
        {
            SoftVcpu.UpdateMode(c);
        }

        return op->Imm != 0 ? Operand.Leave(c, op) : op[1].Fn(c, op + 1);
    }

    /// <summary>POP Sreg: segment in Dst, operand size in Scale.</summary>
    public static nint PopSegment(Cpu* c, Op* op)
    {
        ulong sp = c->R[4];
        if (!StackOps.Pop(c, op->Scale))
        {
            return Operand.Fault(c, op);
        }

        if (!Segments.Load(c, op->Dst, (ushort)c->Data[0]))
        {
            c->R[4] = sp;
            return Operand.Fault(c, op);
        }

        if (op->Dst == Segments.SS)
        {
            SoftVcpu.UpdateMode(c);
        }

        return op->Imm != 0 ? Operand.Leave(c, op) : op[1].Fn(c, op + 1);
    }

    /// <summary>LDS, LES, LSS, LFS, LGS: segment in Imm, register in Dst, offset size in Src (bytes).</summary>
    public static nint LoadPointer(Cpu* c, Op* op)
    {
        if (!Mmu.Read(c, Operand.Address(c, op), op->Src + 2))
        {
            return Operand.Fault(c, op);
        }

        ulong offset = StackOps.Cut(c->Data[0], op->Src);
        if (!Segments.Load(c, (int)op->Imm, *(ushort*)((byte*)c->Data + op->Src)))
        {
            return Operand.Fault(c, op);
        }

        if (op->Src == 2)
        {
            *(ushort*)((byte*)c + op->Dst) = (ushort)offset;
        }
        else
        {
            *(ulong*)((byte*)c + op->Dst) = offset;
        }

        SoftVcpu.UpdateMode(c);
        return Operand.Leave(c, op);
    }

    /// <summary>Register or temporary = selector Src, cut to Scale bytes.</summary>
    public static nint StoreSegment(Cpu* c, Op* op)
    {
        if (op->Src >= 6 && SystemOps.Umip(c))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        byte* d = (byte*)c + op->Dst;
        if (op->Scale == 2)
        {
            *(ushort*)d = c->Selector[op->Src];
        }
        else
        {
            *(ulong*)d = c->Selector[op->Src];
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>LGDT (Imm 0) and LIDT (Imm 1): base size in Src: 8, 4, or 3 (a 16-bit operand's 24 bits).</summary>
    public static nint LoadTable(Cpu* c, Op* op)
    {
        if (c->Cpl != 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        if (!Mmu.Read(c, Operand.Address(c, op), op->Src == 8 ? 10 : 6))
        {
            return Operand.Fault(c, op);
        }

        uint limit = *(ushort*)c->Data;
        ulong @base = op->Src == 8 ? *(ulong*)((byte*)c->Data + 2) : *(uint*)((byte*)c->Data + 2);
        if (op->Src == 3)
        {
            @base &= 0xff_ffff;
        }

        if (op->Src == 8 && !Mmu.IsCanonical(@base))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        if (op->Imm == 0)
        {
            c->GdtBase = @base;
            c->GdtLimit = limit;
        }
        else
        {
            c->IdtBase = @base;
            c->IdtLimit = limit;
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>SGDT (Imm 0) and SIDT (Imm 1).</summary>
    public static nint StoreTable(Cpu* c, Op* op)
    {
        if (SystemOps.Umip(c))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        *(ushort*)c->Data = (ushort)(op->Imm == 0 ? c->GdtLimit : c->IdtLimit);
        *(ulong*)((byte*)c->Data + 2) = op->Imm == 0 ? c->GdtBase : c->IdtBase;
        return Mmu.Write(c, Operand.Address(c, op), op->Src == 8 ? 10 : 6) ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);
    }

    /// <summary>LLDT (Imm 6) and LTR (Imm 7) of the selector in Src.</summary>
    public static nint LoadSystemSegment(Cpu* c, Op* op)
    {
        int segment = (int)op->Imm;
        if (!Segments.ProtectedMode(c) || Segments.Vm86(c))
        {
            return Operand.Raise(c, op, Vectors.UD);
        }

        if (c->Cpl != 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        ushort selector = Operand.Src<ushort>(c, op);
        if ((selector & 0xfffc) == 0)
        {
            if (segment == Cpu.Tr)
            {
                return Operand.Raise(c, op, Vectors.GP, 0);
            }

            Segments.Set(c, segment, selector, 0, 0, Segments.Unusable);
            return op[1].Fn(c, op + 1);
        }

        return TryLoadSystem(c, segment, selector) ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);
    }

    private static bool TryLoadSystem(Cpu* c, int segment, ushort selector)
    {
        bool wide = Segments.LongMode(c);
        if ((selector & 4) != 0)
        {
            Mmu.Raise(c, Vectors.GP, selector & 0xfffcu);
            return false;
        }

        if (!Segments.Fetch(c, selector, Vectors.GP, wide, out ulong d, out ulong high))
        {
            return false;
        }

        uint attributes = Segments.DescriptorAttributes(d);
        uint type = attributes & 0x1f;
        bool ok = segment == Cpu.Ldtr ? type == 2 : type is 9 or 1 && (!wide || type == 9);
        if (!ok)
        {
            Mmu.Raise(c, Vectors.GP, selector & 0xfffcu);
            return false;
        }

        if ((attributes & Segments.Present) == 0)
        {
            Mmu.Raise(c, Vectors.NP, selector & 0xfffcu);
            return false;
        }

        if (segment == Cpu.Tr)
        {
            // Busy.
            if (!Segments.MarkType(c, selector, d, 2ul << 40))
            {
                return false;
            }

            attributes |= 2;
        }

        Segments.Set(c, segment, selector, Segments.DescriptorBase(d) | (high << 32), Segments.DescriptorLimit(d), attributes);
        return true;
    }

    /// <summary>ARPL: the RPL of the selector in Dst becomes at least that of Src. Protected mode only.</summary>
    public static nint Arpl(Cpu* c, Op* op)
    {
        if (!Segments.ProtectedMode(c) || Segments.Vm86(c))
        {
            return Operand.Raise(c, op, Vectors.UD);
        }

        ushort* d = (ushort*)((byte*)c + op->Dst);
        uint rpl = Operand.Src<ushort>(c, op) & 3u;
        ulong flags = StatusFlags.Get(c);
        if ((*d & 3u) < rpl)
        {
            *d = (ushort)((*d & 0xfffcu) | rpl);
            flags |= Rflags.ZF;
        }
        else
        {
            flags &= ~Rflags.ZF;
        }

        StatusFlags.Set(c, flags);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>LAR (0), LSL (1), VERR (2), VERW (3) by Imm: selector in Src, result in Dst of Scale bytes.</summary>
    public static nint Inspect(Cpu* c, Op* op)
    {
        if (!Segments.ProtectedMode(c) || Segments.Vm86(c))
        {
            return Operand.Raise(c, op, Vectors.UD);
        }

        ushort selector = Operand.Src<ushort>(c, op);
        bool ok = TryInspect(c, selector, (int)op->Imm, out ulong result);
        ulong flags = StatusFlags.Get(c);
        StatusFlags.Set(c, ok ? flags | Rflags.ZF : flags & ~Rflags.ZF);
        if (ok && op->Imm < 2)
        {
            if (op->Scale == 2)
            {
                *(ushort*)((byte*)c + op->Dst) = (ushort)result;
            }
            else
            {
                *(ulong*)((byte*)c + op->Dst) = result;
            }
        }

        return op[1].Fn(c, op + 1);
    }

    private static bool TryInspect(Cpu* c, ushort selector, int what, out ulong result)
    {
        result = 0;
        if ((selector & 0xfffc) == 0 || !Segments.Fetch(c, selector, Vectors.GP, wide: false, out ulong d, out _))
        {
            return false;
        }

        uint attributes = Segments.DescriptorAttributes(d);
        uint dpl = (attributes >> 5) & 3;
        bool user = (attributes & Segments.NonSystem) != 0;
        bool code = (attributes & Segments.Code) != 0;
        bool conforming = user && code && (attributes & Segments.Conforming) != 0;
        if (!conforming && (dpl < (uint)c->Cpl || dpl < (selector & 3u)))
        {
            return false;
        }

        uint type = attributes & 15;
        bool longMode = Segments.LongMode(c);
        switch (what)
        {
            case 0:
                result = (d >> 32) & 0xff_ff00;
                return user || type is 2 or 9 or 11 or 12 || (!longMode && type is 1 or 3 or 4 or 5);
            case 1:
                result = Segments.DescriptorLimit(d);
                return user || type is 2 or 9 or 11 || (!longMode && type is 1 or 3);
            case 2:
                return user && (!code || (attributes & Segments.ReadWrite) != 0);
            default:
                return user && !code && (attributes & Segments.ReadWrite) != 0;
        }
    }
}
