using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>
/// MOVS, STOS, LODS, SCAS, CMPS, INS, OUTS. Operand encoding: Dst element size; Src address size; Seg slot of the source
/// segment, Base its number; Imm: bit 0 REP/REPE, bit 1 REPNE; Scale: 1 outside 64-bit mode (segment checks).
/// Repeated forms are restartable: registers always tell what is left.
/// </summary>
internal static unsafe class StringOps
{
    private const int Rcx = 1;
    private const int Rsi = 6;
    private const int Rdi = 7;

    public static nint Movs(Cpu* c, Op* op) => Run(c, op, StringKind.Movs);

    public static nint Stos(Cpu* c, Op* op) => Run(c, op, StringKind.Stos);

    public static nint Lods(Cpu* c, Op* op) => Run(c, op, StringKind.Lods);

    public static nint Scas(Cpu* c, Op* op) => Run(c, op, StringKind.Scas);

    public static nint Cmps(Cpu* c, Op* op) => Run(c, op, StringKind.Cmps);

    public static nint Ins(Cpu* c, Op* op) => Run(c, op, StringKind.Ins);

    public static nint Outs(Cpu* c, Op* op) => Run(c, op, StringKind.Outs);

    /// <summary>One step or a whole repetition; a repetition that somebody interrupts starts again at this instruction.</summary>
    private static nint Run(Cpu* c, Op* op, StringKind kind)
    {
        bool repeat = op->Imm != 0;
        if (kind >= StringKind.Ins && !PortOps.PortPermitted(c, (ushort)c->R[2], op->Dst))
        {
            return Operand.Fault(c, op);
        }

        if (!repeat)
        {
            return Step(c, op, kind) ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);
        }

        ulong mask = op->Src == 8 ? ulong.MaxValue : op->Src == 4 ? uint.MaxValue : ushort.MaxValue;
        while ((c->R[Rcx] & mask) != 0)
        {
            if (kind <= StringKind.Stos)
            {
                ulong done = Bulk(c, op, kind, c->R[Rcx] & mask);
                if (done != 0)
                {
                    AdvanceCount(c, mask, done);
                    if (c->Attention != 0 && (c->R[Rcx] & mask) != 0)
                    {
                        c->R[17] += op->RipDelta;
                        return Exit.Lookup;
                    }

                    continue;
                }
            }

            if (!Step(c, op, kind))
            {
                return Operand.Fault(c, op);
            }

            AdvanceCount(c, mask, 1);
            if (kind is StringKind.Scas or StringKind.Cmps && StatusFlags.Zero(c) != ((op->Imm & 1) != 0))
            {
                break;
            }

            if (c->Attention != 0 && (c->R[Rcx] & mask) != 0)
            {
                c->R[17] += op->RipDelta;
                return Exit.Lookup;
            }
        }

        return op[1].Fn(c, op + 1);
    }

    private static void AdvanceCount(Cpu* c, ulong mask, ulong done)
    {
        ulong left = (c->R[Rcx] - done) & mask;
        c->R[Rcx] = mask == ushort.MaxValue ? (c->R[Rcx] & ~mask) | left : left;
    }

    private static void Advance(Cpu* c, Op* op, int register, ulong bytes)
    {
        ulong v = (c->Flags & Rflags.DF) == 0 ? c->R[register] + bytes : c->R[register] - bytes;
        c->R[register] = op->Src == 8 ? v : op->Src == 4 ? (uint)v : (c->R[register] & ~0xfffful) | (ushort)v;
    }

    private static bool Source(Cpu* c, Op* op, out ulong a)
    {
        ulong offset = StackOps.Cut(c->R[Rsi], op->Src);
        a = offset + Operand.R(c, op->Seg);
        if (op->Scale == 0)
        {
            return true;
        }

        a = (uint)a;
        return Segments.Permits(c, op->Base, offset, op->Dst, write: false);
    }

    private static bool Destination(Cpu* c, Op* op, bool write, out ulong a)
    {
        ulong offset = StackOps.Cut(c->R[Rdi], op->Src);
        a = offset;
        if (op->Scale == 0)
        {
            return true;
        }

        a = (uint)(offset + c->R[18]);
        return Segments.Permits(c, 0, offset, op->Dst, write);
    }

    /// <summary>As many forward elements of MOVS or STOS as lie in one page on both sides; 0: take the slow way.</summary>
    private static ulong Bulk(Cpu* c, Op* op, StringKind kind, ulong count)
    {
        if ((c->Flags & (Rflags.DF | Rflags.TF)) != 0 || op->Scale != 0 || op->Src != 8 || c->Watch != 0)
        {
            return 0;
        }

        uint size = op->Dst;
        ulong to = c->R[Rdi];
        ulong n = Math.Min(count, (0x1000 - (to & 0xfff)) / size);
        ulong from = 0;
        if (kind == StringKind.Movs)
        {
            from = c->R[Rsi] + Operand.R(c, op->Seg);
            n = Math.Min(n, (0x1000 - (from & 0xfff)) / size);
        }

        if (n == 0)
        {
            return 0;
        }

        byte* source = null;
        if (kind == StringKind.Movs && (!Mmu.TryHost(c, from, Access.Read, out source) || source == null))
        {
            return 0;
        }

        if (!Mmu.TryHost(c, to, Access.Write, out byte* target) || target == null)
        {
            return 0;
        }

        uint bytes = (uint)n * size;
        if (kind == StringKind.Stos)
        {
            Fill(target, c->R[0], size, bytes);
        }
        else
        {
            if (target > source && target < source + bytes)
            {
                // The elements overlap forward: what is written is read again.
                for (uint i = 0; i < bytes; i += size)
                {
                    Unsafe.CopyBlockUnaligned(c->Data, source + i, size);
                    Unsafe.CopyBlockUnaligned(target + i, c->Data, size);
                }
            }
            else
            {
                Buffer.MemoryCopy(source, target, bytes, bytes);
            }

            c->R[Rsi] += bytes;
        }

        c->R[Rdi] += bytes;
        return n;
    }

    private static void Fill(byte* target, ulong value, uint size, uint bytes)
    {
        switch (size)
        {
            case 1:
                new Span<byte>(target, (int)bytes).Fill((byte)value);
                break;
            case 2:
                new Span<ushort>(target, (int)bytes / 2).Fill((ushort)value);
                break;
            case 4:
                new Span<uint>(target, (int)bytes / 4).Fill((uint)value);
                break;
            default:
                new Span<ulong>(target, (int)bytes / 8).Fill(value);
                break;
        }
    }

    private static bool Step(Cpu* c, Op* op, StringKind kind)
    {
        int size = op->Dst;
        ulong a;
        switch (kind)
        {
            case StringKind.Movs:
                if (!Source(c, op, out a) || !Mmu.Read(c, a, size) || !Destination(c, op, true, out a))
                {
                    return false;
                }

                if (!Mmu.Write(c, a, size))
                {
                    return false;
                }

                Advance(c, op, Rsi, (uint)size);
                Advance(c, op, Rdi, (uint)size);
                return true;
            case StringKind.Stos:
                if (!Destination(c, op, true, out a))
                {
                    return false;
                }

                c->Data[0] = c->R[0];
                if (!Mmu.Write(c, a, size))
                {
                    return false;
                }

                Advance(c, op, Rdi, (uint)size);
                return true;
            case StringKind.Lods:
                if (!Source(c, op, out a) || !Mmu.Read(c, a, size))
                {
                    return false;
                }

                PutAccumulator(c, c->Data[0], size);
                Advance(c, op, Rsi, (uint)size);
                return true;
            case StringKind.Scas:
                if (!Destination(c, op, false, out a) || !Mmu.Read(c, a, size))
                {
                    return false;
                }

                Compare(c, c->R[0], c->Data[0], size);
                Advance(c, op, Rdi, (uint)size);
                return true;
            case StringKind.Cmps:
                if (!LoadBoth(c, op, out ulong first, out ulong second))
                {
                    return false;
                }

                Compare(c, first, second, size);
                Advance(c, op, Rsi, (uint)size);
                Advance(c, op, Rdi, (uint)size);
                return true;
            case StringKind.Ins:
                if (!Destination(c, op, true, out a) || !Mmu.ProbeWrite(c, a, size))
                {
                    return false;
                }

                c->Data[0] = SoftVcpu.Of(c).ReadPort((ushort)c->R[2], size);
                Mmu.Write(c, a, size);
                Advance(c, op, Rdi, (uint)size);
                return true;
            default:
                if (!Source(c, op, out a) || !Mmu.Read(c, a, size))
                {
                    return false;
                }

                SoftVcpu.Of(c).WritePort((ushort)c->R[2], c->Data[0], size);
                Advance(c, op, Rsi, (uint)size);
                return true;
        }
    }

    /// <summary>
    /// The operands of CMPS. When both fault it is the one at rDI that is told of, except that REPE CMPSB, which the processor has a
    /// faster way for, looks at rSI first, and so does every form when rDI's operand has a byte beyond the canonical addresses.
    /// </summary>
    private static bool LoadBoth(Cpu* c, Op* op, out ulong first, out ulong second)
    {
        first = second = 0;
        bool sourceFirst = op->Dst == 1 && (op->Imm & 1) != 0;
        if (op->Scale == 0 && !sourceFirst)
        {
            ulong to = StackOps.Cut(c->R[Rdi], op->Src);
            sourceFirst = !Mmu.IsCanonical(to) || !Mmu.IsCanonical(to + op->Dst - 1u);
        }

        if (sourceFirst)
        {
            return LoadFirst(c, op, ref first) && LoadSecond(c, op, ref second);
        }

        return LoadSecond(c, op, ref second) && LoadFirst(c, op, ref first);
    }

    private static bool LoadFirst(Cpu* c, Op* op, ref ulong v) => Source(c, op, out ulong a) && LoadCompared(c, op, a, ref v);

    private static bool LoadSecond(Cpu* c, Op* op, ref ulong v) => Destination(c, op, false, out ulong a) && LoadCompared(c, op, a, ref v);

    /// <summary>An operand that leaves the canonical addresses still has the page of its first byte looked at before.</summary>
    private static bool LoadCompared(Cpu* c, Op* op, ulong a, ref ulong v)
    {
        bool leaves = op->Scale == 0 && !Mmu.IsCanonical(a + op->Dst - 1u);
        if ((leaves && !Mmu.ProbeRead(c, a)) || !Mmu.Read(c, a, op->Dst))
        {
            return false;
        }

        v = c->Data[0];
        return true;
    }

    private static void PutAccumulator(Cpu* c, ulong v, int size)
    {
        switch (size)
        {
            case 1:
                *(byte*)c = (byte)v;
                break;
            case 2:
                *(ushort*)c = (ushort)v;
                break;
            default:
                c->R[0] = StackOps.Cut(v, size);
                break;
        }
    }

    private static void Compare(Cpu* c, ulong a, ulong b, int size)
    {
        switch (size)
        {
            case 1:
                StatusFlags.SetSub(c, (byte)b, (byte)(a - b));
                break;
            case 2:
                StatusFlags.SetSub(c, (ushort)b, (ushort)(a - b));
                break;
            case 4:
                StatusFlags.SetSub(c, (uint)b, (uint)(a - b));
                break;
            default:
                StatusFlags.SetSub(c, b, a - b);
                break;
        }
    }
}

internal enum StringKind
{
    Movs,
    Stos,
    Lods,
    Scas,
    Cmps,
    Ins,
    Outs,
}
