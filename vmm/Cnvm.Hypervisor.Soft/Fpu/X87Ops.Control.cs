using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>x87 control, status and environment.</summary>
internal static unsafe partial class X87Ops
{
    public static nint Init(Cpu* c, Op* op)
    {
        // FNINIT leaves the registers' contents; only their tags go.
        FpuState.InitX87Control(c);
        return op[1].Fn(c, op + 1);
    }

    public static nint ClearExceptions(Cpu* c, Op* op)
    {
        c->FpuStatus &= 0x7f00;
        return op[1].Fn(c, op + 1);
    }

    public static nint Emms(Cpu* c, Op* op)
    {
        c->FpuValid = 0;
        c->FpuTop = 0;
        return op[1].Fn(c, op + 1);
    }

    public static nint ReadControl(Cpu* c, Op* op)
    {
        Operand.R(c, Cpu.Temp0, c->FpuControl);
        return op[1].Fn(c, op + 1);
    }

    public static nint ReadStatus(Cpu* c, Op* op)
    {
        Operand.R(c, Cpu.Temp0, FpuState.StatusWord(c));
        return op[1].Fn(c, op + 1);
    }

    public static nint WriteControl(Cpu* c, Op* op)
    {
        c->FpuControl = (ushort)(Operand.Src<ushort>(c, op) | 0x40);
        Summarize(c);
        return op[1].Fn(c, op + 1);
    }

    public static nint Free(Cpu* c, Op* op)
    {
        c->FpuValid &= (byte)~(1 << Physical(c, op->Disp));
        c->FpuStatus &= unchecked((ushort)~C1);
        if (op->Imm != 0)
        {
            Pop(c);
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>FNSTENV (0), FLDENV (1), FNSAVE (2), FRSTOR (3) in the 32-bit protected-mode layout.</summary>
    public static nint Environment(Cpu* c, Op* op)
    {
        ulong a = Operand.Address(c, op);
        byte* area = stackalloc byte[112];
        bool store = (op->Imm & 1) == 0;
        int size = op->Imm >= 2 ? 108 : 28;
        if (store)
        {
            BuildEnvironment(c, area, size);
        }

        for (int at = 0; at < size; at += 4)
        {
            if (store)
            {
                c->Data[0] = *(uint*)(area + at);
            }

            if (!(store ? Mmu.Write(c, a + (uint)at, 4) : Mmu.Read(c, a + (uint)at, 4)))
            {
                return Operand.Fault(c, op);
            }

            if (!store)
            {
                *(uint*)(area + at) = (uint)c->Data[0];
            }
        }

        if (!store)
        {
            LoadEnvironment(c, area, size);
        }
        else if (op->Imm == 2)
        {
            FpuState.InitX87Control(c);
        }
        else
        {
            c->FpuControl |= 0x3f;
            Summarize(c);
        }

        return op[1].Fn(c, op + 1);
    }

    private static void BuildEnvironment(Cpu* c, byte* area, int size)
    {
        *(uint*)area = 0xffff_0000u | c->FpuControl;
        *(uint*)(area + 4) = 0xffff_0000u | FpuState.StatusWord(c);
        uint tags = 0;
        for (int p = 0; p < 8; p++)
        {
            Float80 v = new(c->Fpr[p * 2], (ushort)c->Fpr[(p * 2) + 1]);
            uint tag = (c->FpuValid & (1 << p)) == 0 ? 3u : v.IsZero ? 1u : v.Exponent is 0 or 0x7fff || v.IsUnsupported ? 2u : 0u;
            tags |= tag << (p * 2);
        }

        *(uint*)(area + 8) = 0xffff_0000u | tags;
        *(uint*)(area + 12) = (uint)c->FpuIp;
        *(uint*)(area + 16) = (uint)c->FpuOpcode << 16;
        *(uint*)(area + 20) = (uint)c->FpuDp;
        *(uint*)(area + 24) = 0xffff_0000u;
        for (int i = 0; size > 28 && i < 8; i++)
        {
            int p = Physical(c, i);
            *(ulong*)(area + 28 + (i * 10)) = c->Fpr[p * 2];
            *(ushort*)(area + 36 + (i * 10)) = (ushort)c->Fpr[(p * 2) + 1];
        }
    }

    private static void LoadEnvironment(Cpu* c, byte* area, int size)
    {
        c->FpuControl = (ushort)(*(ushort*)area | 0x40);
        FpuState.SetStatusWord(c, *(ushort*)(area + 4));
        uint tags = *(ushort*)(area + 8);
        c->FpuValid = 0;
        for (int p = 0; p < 8; p++)
        {
            c->FpuValid |= (byte)(((tags >> (p * 2)) & 3) != 3 ? 1 << p : 0);
        }

        c->FpuIp = *(uint*)(area + 12);
        c->FpuOpcode = (ushort)((*(uint*)(area + 16) >> 16) & 0x7ff);
        c->FpuDp = *(uint*)(area + 20);
        for (int i = 0; size > 28 && i < 8; i++)
        {
            int p = Physical(c, i);
            c->Fpr[p * 2] = *(ulong*)(area + 28 + (i * 10));
            c->Fpr[(p * 2) + 1] = *(ushort*)(area + 36 + (i * 10));
        }

        Summarize(c);
    }
}
