using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>x87 comparisons.</summary>
internal static unsafe partial class X87Ops
{
    /// <summary>Comparisons: Scale and Disp name the operand; Imm: bit 0 unordered, bit 1 result into RFLAGS; Src: pops.</summary>
    public static nint Compare(Cpu* c, Op* op)
    {
        bool toFlags = (op->Imm & 2) != 0;
        // The result is set even when an exception is not masked; only the pops are not done then.
        bool accepted = TryCompare(c, op, out int order);
        if (toFlags)
        {
            StatusFlags.Set(c, order == 2 ? Rflags.ZF | Rflags.PF | Rflags.CF : order == 0 ? Rflags.ZF : order < 0 ? Rflags.CF : 0);
        }
        else
        {
            int codes = order == 2 ? C0 | C2 | C3 : order == 0 ? C3 : order < 0 ? C0 : 0;
            c->FpuStatus = (ushort)((c->FpuStatus & ~(C0 | C2 | C3)) | codes);
        }

        for (int i = 0; accepted && i < op->Src; i++)
        {
            Pop(c);
        }

        return op[1].Fn(c, op + 1);
    }

    private static bool TryCompare(Cpu* c, Op* op, out int order)
    {
        X87Source kind = (X87Source)op->Scale;
        order = 2;
        if (IsEmpty(c, 0) || (kind == X87Source.Register && IsEmpty(c, op->Disp)))
        {
            return StackFaulted(c, overflow: false);
        }

        Float80 a = Get(c, 0);
        Float80 b = kind == X87Source.Zero ? default : Fetch(c, kind, op->Disp);
        Float80Math math = new(c->FpuControl);
        order = math.Compare(a, b, (op->Imm & 1) == 0);
        NoteNarrowDenormal(c, kind, a, b, ref math);
        int before = c->FpuStatus & C1;
        bool accepted = Accept(c, ref math);
        // The forms that set RFLAGS leave C1 alone.
        c->FpuStatus |= (ushort)((op->Imm & 2) != 0 ? before : 0);
        return accepted;
    }
}
