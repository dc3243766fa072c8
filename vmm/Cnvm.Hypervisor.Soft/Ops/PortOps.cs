using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>IN and OUT, and who may use them.</summary>
internal static unsafe class PortOps
{
    /// <summary>IN: port from DX (Imm -1) or Imm; size in Scale.</summary>
    public static nint In(Cpu* c, Op* op)
    {
        ushort port = op->Imm < 0 ? (ushort)c->R[2] : (ushort)op->Imm;
        if (!PortPermitted(c, port, op->Scale))
        {
            return Operand.Fault(c, op);
        }

        ulong v = SoftVcpu.Of(c).ReadPort(port, op->Scale);
        switch (op->Scale)
        {
            case 1:
                *(byte*)c = (byte)v;
                break;
            case 2:
                *(ushort*)c = (ushort)v;
                break;
            default:
                c->R[0] = (uint)v;
                break;
        }

        return op[1].Fn(c, op + 1);
    }

    public static nint Out(Cpu* c, Op* op)
    {
        ushort port = op->Imm < 0 ? (ushort)c->R[2] : (ushort)op->Imm;
        if (!PortPermitted(c, port, op->Scale))
        {
            return Operand.Fault(c, op);
        }

        SoftVcpu.Of(c).WritePort(port, c->R[0], op->Scale);
        // What the write led to (a kick, a reset) comes before the next instruction.
        return Volatile.Read(ref c->Attention) == 0 ? op[1].Fn(c, op + 1) : Operand.Leave(c, op);
    }

    /// <summary>IOPL and the TSS's permission bitmap (SDM vol. 1 §19.5.2).</summary>
    public static bool PortPermitted(Cpu* c, ushort port, int size)
    {
        if (!Segments.ProtectedMode(c) || (!Segments.Vm86(c) && (ulong)c->Cpl <= (c->Flags & Rflags.IOPL) >> 12))
        {
            return true;
        }

        uint limit = c->Limit[Cpu.Tr];
        if ((c->Attributes[Cpu.Tr] & 9) == 9 && limit >= 0x67)
        {
            if (!Mmu.ReadSystem(c, c->TrBase + 0x66, 2))
            {
                return false;
            }

            uint at = (ushort)c->Data[0] + ((uint)port >> 3);
            if (at + 1 <= limit)
            {
                if (!Mmu.ReadSystem(c, c->TrBase + at, 2))
                {
                    return false;
                }

                if ((((uint)(ushort)c->Data[0] >> (port & 7)) & ((1u << size) - 1)) == 0)
                {
                    return true;
                }
            }
        }

        Mmu.Raise(c, Vectors.GP, 0);
        return false;
    }
}
