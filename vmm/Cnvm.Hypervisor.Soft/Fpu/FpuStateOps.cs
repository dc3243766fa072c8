using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>FXSAVE, FXRSTOR, XSAVE(OPT), XRSTOR, LDMXCSR, STMXCSR (SDM vol. 1 chapter 13).</summary>
internal static unsafe class FpuStateOps
{
    public const int KindFxsave = 0;
    public const int KindFxrstor = 1;
    public const int KindXsave = 2;
    public const int KindXrstor = 3;

    private const int LegacyBytes = 416;

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
            KindXsave => Xsave(c, a, op->Src, op->Dst),
            _ => Xrstor(c, a, op->Src, op->Dst),
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

    private static bool Xsave(Cpu* c, ulong a, int pointerSize, int registers)
    {
        ulong request = ((c->R[2] << 32) | (uint)c->R[0]) & c->Xcr0;
        byte* area = stackalloc byte[LegacyBytes];
        if (!Mmu.ProbeWrite(c, a, 64) || !Copy(c, a, area, 32, write: false) || !Mmu.Read(c, a + 512, 8))
        {
            return false;
        }

        ulong present = c->Data[0];
        if ((request & 1) != 0)
        {
            FpuState.SaveX87(c, area, pointerSize);
        }

        if ((request & 2) != 0)
        {
            *(uint*)(area + 24) = c->Mxcsr;
            *(uint*)(area + 28) = FpuState.MxcsrMask;
            FpuState.SaveVectors(c, area, registers);
        }

        if (!Copy(c, a, area, 32, write: true)
            || ((request & 1) != 0 && !Copy(c, a + 32, area + 32, 128, write: true))
            || ((request & 2) != 0 && !Copy(c, a + 160, area + 160, registers * 16, write: true)))
        {
            return false;
        }

        c->Data[0] = (present & ~request) | request;
        return Mmu.Write(c, a + 512, 8);
    }

    private static bool Xrstor(Cpu* c, ulong a, int pointerSize, int registers)
    {
        ulong request = ((c->R[2] << 32) | (uint)c->R[0]) & c->Xcr0;
        byte* area = stackalloc byte[LegacyBytes];
        if (!Mmu.Read(c, a + 512, 24))
        {
            return false;
        }

        ulong present = c->Data[0];
        if ((present & ~c->Xcr0) != 0 || c->Data[1] != 0 || c->Data[2] != 0)
        {
            Mmu.Raise(c, Vectors.GP, 0);
            return false;
        }

        if (!Copy(c, a, area, 160 + (registers * 16), write: false))
        {
            return false;
        }

        if ((request & 2) != 0 && (*(uint*)(area + 24) & ~FpuState.MxcsrMask) != 0)
        {
            Mmu.Raise(c, Vectors.GP, 0);
            return false;
        }

        if ((request & 1) != 0)
        {
            if ((present & 1) != 0)
            {
                FpuState.RestoreX87(c, area, pointerSize);
            }
            else
            {
                FpuState.InitX87(c);
            }
        }

        if ((request & 2) != 0)
        {
            c->Mxcsr = *(uint*)(area + 24);
            if ((present & 2) != 0)
            {
                FpuState.RestoreSse(c, area, registers);
            }
            else
            {
                FpuState.ClearSse(c, registers);
            }
        }

        return true;
    }
}
