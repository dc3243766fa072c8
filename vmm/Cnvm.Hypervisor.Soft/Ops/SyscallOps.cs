using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>SYSCALL, SYSRET, SYSENTER, SYSEXIT (APM vol. 3; SYSENTER in long mode on Intel's processors only).</summary>
internal static unsafe class SyscallOps
{
    private const uint FlatCode64 = 0xa09b;
    private const uint FlatCode32 = 0xc09b;
    private const uint FlatData = 0xc093;

    public static nint Syscall(Cpu* c, Op* op)
    {
        // Intel's know it in 64-bit mode only (SDM vol. 2, SYSCALL).
        if ((c->Efer & ControlBits.EFER_SCE) == 0 || !Segments.ProtectedMode(c) || (SoftVcpu.Of(c).IsIntel && !Segments.Code64(c)))
        {
            return Operand.Raise(c, op, Vectors.UD);
        }

        ulong next = c->R[17] + op->NextDelta;
        ushort selector = (ushort)((c->Star >> 32) & 0xfffc);
        if (Segments.LongMode(c))
        {
            ulong flags = StatusFlags.GetRflags(c) & ~Rflags.RF;
            c->R[1] = next;
            c->R[11] = flags;
            c->R[17] = Segments.Code64(c) ? c->Lstar : c->Cstar;
            ulong masked = flags & ~c->SyscallMask;
            StatusFlags.Set(c, masked);
            c->Flags = masked & ~(Rflags.Status | Rflags.Fixed);
            Segments.Set(c, Segments.CS, selector, 0, uint.MaxValue, FlatCode64);
        }
        else
        {
            c->R[1] = (uint)next;
            c->R[17] = (uint)c->Star;
            c->Flags &= ~(Rflags.IF | Rflags.RF | Rflags.VM);
            Segments.Set(c, Segments.CS, selector, 0, uint.MaxValue, FlatCode32);
        }

        Segments.Set(c, Segments.SS, (ushort)(selector + 8), 0, uint.MaxValue, FlatData);
        c->Cpl = 0;
        c->InstructionCount += op->Count;
        c->Budget -= op->Count;
        SoftVcpu.UpdateMode(c);
        return BranchOps.Dispatch(c, op);
    }

    /// <summary>SYSRET: Scale is the operand size.</summary>
    public static nint Sysret(Cpu* c, Op* op)
    {
        if ((c->Efer & ControlBits.EFER_SCE) == 0)
        {
            return Operand.Raise(c, op, Vectors.UD);
        }

        if (!Segments.ProtectedMode(c) || c->Cpl != 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        ushort selector = (ushort)(c->Star >> 48);
        ulong target = c->R[1];
        if (Segments.LongMode(c))
        {
            if (op->Scale == 8)
            {
                // AMD's processors fault at the target, at CPL 3.
                if (SoftVcpu.Of(c).IsIntel && !Mmu.IsCanonical(target))
                {
                    return Operand.Raise(c, op, Vectors.GP, 0);
                }

                Segments.Set(c, Segments.CS, (ushort)((selector + 16) | 3), 0, uint.MaxValue, FlatCode64 | 0x60);
            }
            else
            {
                target = (uint)target;
                Segments.Set(c, Segments.CS, (ushort)(selector | 3), 0, uint.MaxValue, FlatCode32 | 0x60);
            }

            ulong flags = c->R[11] & 0x3c7fd7;
            StatusFlags.Set(c, flags);
            c->Flags = flags & ~(Rflags.Status | Rflags.Fixed);
        }
        else
        {
            target = (uint)target;
            c->Flags |= Rflags.IF;
            Segments.Set(c, Segments.CS, (ushort)(selector | 3), 0, uint.MaxValue, FlatCode32 | 0x60);
        }

        Segments.Set(c, Segments.SS, (ushort)((selector + 8) | 3), 0, uint.MaxValue, FlatData | 0x60);
        c->Cpl = 3;
        c->R[17] = target;
        c->InstructionCount += op->Count;
        c->Budget -= op->Count;
        SoftVcpu.UpdateMode(c);
        SoftVcpu.NoticeInterrupts(c);
        if ((c->Flags & Rflags.TF) != 0)
        {
            // The trap is that of the SYSCALL which this returns from: it comes before the first instruction.
            c->Dr[6] |= Dr6.BS;
            Mmu.RaiseNoError(c, Vectors.DB);
            return Exit.Exception;
        }

        return BranchOps.Dispatch(c, op);
    }

    public static nint Sysenter(Cpu* c, Op* op)
    {
        bool wide = Segments.LongMode(c);
        if (wide && !SoftVcpu.Of(c).IsIntel)
        {
            return Operand.Raise(c, op, Vectors.UD);
        }

        if (!Segments.ProtectedMode(c) || (c->SysenterCs & 0xfffc) == 0)
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        ushort selector = (ushort)(c->SysenterCs & 0xfffc);
        c->Flags &= ~(Rflags.IF | Rflags.VM | Rflags.RF);
        Segments.Set(c, Segments.CS, selector, 0, uint.MaxValue, wide ? FlatCode64 : FlatCode32);
        Segments.Set(c, Segments.SS, (ushort)(selector + 8), 0, uint.MaxValue, FlatData);
        c->Cpl = 0;
        c->R[4] = wide ? c->SysenterEsp : (uint)c->SysenterEsp;
        c->R[17] = wide ? c->SysenterEip : (uint)c->SysenterEip;
        c->InstructionCount += op->Count;
        SoftVcpu.UpdateMode(c);
        return Exit.Lookup;
    }

    /// <summary>SYSEXIT: Scale is the operand size.</summary>
    public static nint Sysexit(Cpu* c, Op* op)
    {
        if (Segments.LongMode(c) && !SoftVcpu.Of(c).IsIntel)
        {
            return Operand.Raise(c, op, Vectors.UD);
        }

        bool to64 = op->Scale == 8;
        if (!Segments.ProtectedMode(c) || c->Cpl != 0 || (c->SysenterCs & 0xfffc) == 0
            || (to64 && (!Mmu.IsCanonical(c->R[1]) || !Mmu.IsCanonical(c->R[2]))))
        {
            return Operand.Raise(c, op, Vectors.GP, 0);
        }

        ushort selector = (ushort)((c->SysenterCs & 0xfffc) | 3);
        int first = to64 ? 32 : 16;
        Segments.Set(c, Segments.CS, (ushort)(selector + first), 0, uint.MaxValue, (to64 ? FlatCode64 : FlatCode32) | 0x60);
        Segments.Set(c, Segments.SS, (ushort)(selector + first + 8), 0, uint.MaxValue, FlatData | 0x60);
        c->Cpl = 3;
        c->R[4] = to64 ? c->R[1] : (uint)c->R[1];
        c->R[17] = to64 ? c->R[2] : (uint)c->R[2];
        c->InstructionCount += op->Count;
        SoftVcpu.UpdateMode(c);
        return Exit.Lookup;
    }
}
