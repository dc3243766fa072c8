using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XRSTOR, LDMXCSR, STMXCSR (SDM vol. 1 chapter 13).</summary>
internal static unsafe class FpuStateOps
{
    public const int KindFxsave = 0;
    public const int KindFxrstor = 1;
    public const int KindXsave = 2;
    public const int KindXrstor = 3;

    /// <summary>XSAVEOPT: components in their initial configuration are not written.</summary>
    public const int KindXsaveopt = 4;

    /// <summary>XSAVEC: likewise, in the compacted format.</summary>
    public const int KindXsavec = 5;

    private const int LegacyBytes = 416;
    private const ulong Compacted = 1ul << 63;

    public static nint Ldmxcsr(Cpu* c, Op* op)
    {
        uint v = Operand.Src<uint>(c, op);
        if ((v & ~FpuState.MxcsrMask) != 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        c->Mxcsr = v;
        return op[1].Fn(c, op + 1);
    }

    public static nint Stmxcsr(Cpu* c, Op* op)
    {
        Operand.R(c, Cpu.Temp0, c->Mxcsr);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Imm: kind; Src: pointer size; Dst: number of vector registers.</summary>
    public static nint Run(Cpu* c, Op* op)
    {
        ulong a = Operand.Address(c, op);
        bool extended = op->Imm >= KindXsave;
        if (extended && (c->Cr4 & ControlBits.CR4_OSXSAVE) == 0)
        {
            return Operand.Raise(c, op, Vectors.UD);
        }

        if ((a & (extended ? 63u : 15u)) != 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        bool done = op->Imm switch
        {
            KindFxsave => Fxsave(c, a, op->Src, op->Dst),
            KindFxrstor => Fxrstor(c, a, op->Src, op->Dst),
            KindXrstor => Xrstor(c, a, op->Src, op->Dst),
            _ => Xsave(c, a, op->Src, op->Dst, (int)op->Imm),
        };
        return done ? op[1].Fn(c, op + 1) : Operand.Fault(c, op);
    }

    private static bool Copy(Cpu* c, ulong a, byte* area, int bytes, bool write)
    {
        for (int at = 0; at < bytes; at += 32)
        {
            int part = Math.Min(32, bytes - at);
            if (write)
            {
                Buffer.MemoryCopy(area + at, c->Data, part, part);
                if (!Mmu.Write(c, a + (uint)at, part))
                {
                    return false;
                }
            }
            else
            {
                if (!Mmu.Read(c, a + (uint)at, part))
                {
                    return false;
                }

                Buffer.MemoryCopy(c->Data, area + at, part, part);
            }
        }

        return true;
    }

    private static bool Fxsave(Cpu* c, ulong a, int pointerSize, int registers)
    {
        byte* area = stackalloc byte[LegacyBytes];
        new Span<byte>(area, LegacyBytes).Clear();
        FpuState.SaveX87(c, area, pointerSize);
        FpuState.SaveSse(c, area, registers);
        return Copy(c, a, area, 160 + (registers * 16), write: true);
    }

    private static bool Fxrstor(Cpu* c, ulong a, int pointerSize, int registers)
    {
        byte* area = stackalloc byte[LegacyBytes];
        if (!Copy(c, a, area, 160 + (registers * 16), write: false))
        {
            return false;
        }

        if ((*(uint*)(area + 24) & ~FpuState.MxcsrMask) != 0)
        {
            Mmu.Raise(c, Vectors.GP, 0);
            return false;
        }

        FpuState.RestoreX87(c, area, pointerSize);
        c->Mxcsr = *(uint*)(area + 24);
        FpuState.RestoreSse(c, area, registers);
        return true;
    }

    private static bool Xsave(Cpu* c, ulong a, int pointerSize, int registers, int kind)
    {
        ulong request = ((c->R[2] << 32) | (uint)c->R[0]) & c->Xcr0;
        ulong use = FpuState.InUse(c) & request;
        ulong write = kind == KindXsave ? request : use;
        byte* area = stackalloc byte[FpuState.AreaBytes];
        // Everything that may be written is found writable before anything is.
        int bytes = (request & FpuState.Avx) != 0 ? FpuState.HeaderEnd + (registers * 16) : FpuState.HeaderEnd;
        if (!Mmu.ProbeWrite(c, a, bytes) || !Copy(c, a, area, 32, write: false) || !Mmu.Read(c, a + 512, 16))
        {
            return false;
        }

        ulong present = c->Data[0];
        ulong compaction = c->Data[1];
        if ((write & FpuState.X87) != 0)
        {
            uint mxcsr = *(uint*)(area + 24);
            uint mask = *(uint*)(area + 28);
            FpuState.SaveX87(c, area, pointerSize);
            *(uint*)(area + 24) = mxcsr;
            *(uint*)(area + 28) = mask;
        }

        if ((kind == KindXsavec ? write & FpuState.Sse : request & (FpuState.Sse | FpuState.Avx)) != 0)
        {
            *(uint*)(area + 24) = c->Mxcsr;
            *(uint*)(area + 28) = FpuState.MxcsrMask;
        }

        FpuState.SaveVectors(c, area, registers);
        FpuState.SaveAvx(c, area, registers);
        if (!Copy(c, a, area, 32, write: true)
            || ((write & FpuState.X87) != 0 && !Copy(c, a + 32, area + 32, 128, write: true))
            || ((write & FpuState.Sse) != 0 && !Copy(c, a + 160, area + 160, registers * 16, write: true))
            || ((write & FpuState.Avx) != 0 && !Copy(c, a + FpuState.HeaderEnd, area + FpuState.HeaderEnd, registers * 16, write: true)))
        {
            return false;
        }

        c->Data[0] = kind == KindXsavec ? use : (present & ~request) | use;
        c->Data[1] = kind == KindXsavec ? request | Compacted : compaction;
        return Mmu.Write(c, a + 512, kind == KindXsavec ? 16 : 8);
    }

    private static bool Xrstor(Cpu* c, ulong a, int pointerSize, int registers)
    {
        ulong request = ((c->R[2] << 32) | (uint)c->R[0]) & c->Xcr0;
        byte* area = stackalloc byte[FpuState.AreaBytes];
        if (!Mmu.Read(c, a + 512, 64))
        {
            return false;
        }

        ulong present = c->Data[0];
        ulong compaction = c->Data[1];
        bool compacted = (compaction & Compacted) != 0;
        bool bad = compacted
            ? ((compaction & ~Compacted) & ~c->Xcr0) != 0 || (present & ~compaction) != 0
                || (c->Data[2] | c->Data[3] | c->Data[4] | c->Data[5] | c->Data[6] | c->Data[7]) != 0
            : (present & ~c->Xcr0) != 0 || compaction != 0 || c->Data[2] != 0;
        if (bad)
        {
            Mmu.Raise(c, Vectors.GP, 0);
            return false;
        }

        ulong load = request & present;
        if (!Copy(c, a, area, 160 + (registers * 16), write: false)
            || ((load & FpuState.Avx) != 0 && !Copy(c, a + FpuState.HeaderEnd, area + FpuState.HeaderEnd, registers * 16, write: false)))
        {
            return false;
        }

        bool takesMxcsr = compacted ? (load & FpuState.Sse) != 0 : (request & (FpuState.Sse | FpuState.Avx)) != 0;
        if (takesMxcsr && (*(uint*)(area + 24) & ~FpuState.MxcsrMask) != 0)
        {
            Mmu.Raise(c, Vectors.GP, 0);
            return false;
        }

        if ((load & FpuState.X87) != 0)
        {
            FpuState.RestoreX87(c, area, pointerSize);
        }
        else if ((request & FpuState.X87) != 0)
        {
            FpuState.InitX87(c);
        }

        if (takesMxcsr)
        {
            c->Mxcsr = *(uint*)(area + 24);
        }
        else if ((request & FpuState.Sse) != 0)
        {
            c->Mxcsr = 0x1f80;
        }

        if ((load & FpuState.Sse) != 0)
        {
            FpuState.RestoreSse(c, area, registers);
        }
        else if ((request & FpuState.Sse) != 0)
        {
            FpuState.ClearSse(c, registers);
        }

        if ((load & FpuState.Avx) != 0)
        {
            FpuState.RestoreAvx(c, area, registers);
        }
        else if ((request & FpuState.Avx) != 0)
        {
            FpuState.ClearAvx(c, registers);
        }

        return true;
    }
}
