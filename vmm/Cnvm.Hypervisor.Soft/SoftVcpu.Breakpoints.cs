using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Translation;

namespace Cnvm.Hypervisor.Soft;

/// <summary>
/// The guest's own debugging (SDM vol. 3 chapter 17): breakpoints of DR0 to DR3, and TF. While either is on, code runs one
/// instruction at a time outside the cache; while neither is, nothing here is called.
/// </summary>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>Works out what <see cref="Cpu.Watch"/> says; call after DR0 to DR3 or DR7 changed.</summary>
    public static void UpdateWatch(Cpu* c)
    {
        int watch = 0;
        for (int n = 0; n < 4; n++)
        {
            watch |= Mmu.BreakpointKind(c, n) switch { -1 => 0, 1 or 3 => Cpu.WatchOn | Cpu.WatchData, _ => Cpu.WatchOn };
        }

        c->Watch = watch;
        if ((watch & Cpu.WatchData) != 0)
        {
            Mmu.FlushWatched(c);
        }
    }

    /// <summary>Runs one instruction, outside the cache, with the debug exceptions before and after it.</summary>
    private void Step()
    {
        Cpu* c = _c;
        if (c->Watch != 0 && MeetsInstructionBreakpoint())
        {
            return;
        }

        ulong resume = c->Flags & Rflags.RF;
        ulong start = c->R[17];
        c->Flags &= ~Rflags.RF;
        c->WatchHits = 0;
        bool trap = PrepareStep();
        if (!StepOnce(out nint exit))
        {
            return;
        }

        if (_translator.HoldsTraps && exit == Exit.Lookup && (trap || c->Watch != 0))
        {
            // MOV SS and POP SS: what they raise waits until the instruction after them is done (SDM vol. 3 §6.8.3).
            trap = PrepareStep();
            if (!StepOnce(out exit))
            {
                return;
            }
        }

        if (exit is not (Exit.Lookup or Exit.Chain or Exit.Halt))
        {
            Handle(exit);
            return;
        }

        if (_translator.IsRepeated && c->R[17] == start)
        {
            // Not done yet: RF covers the whole repetition.
            c->Flags |= resume;
        }

        // A handler entered by the instruction itself has TF off, and is not trapped into.
        bool stepped = trap && ((c->Flags & Rflags.TF) != 0 || !_translator.EntersHandler);
        ulong raised = c->WatchHits | (stepped ? Dr6.BS : 0);
        if (raised == 0)
        {
            Handle(exit);
            return;
        }

        RaiseDebug(raised);
    }

    /// <summary>Repetitions are left after every element while they are watched; true when TF is set.</summary>
    private bool PrepareStep()
    {
        Cpu* c = _c;
        bool trap = (c->Flags & Rflags.TF) != 0;
        if (trap || c->Watch != 0)
        {
            Interlocked.Or(ref c->Attention, AttentionBits.Step);
        }

        if ((c->Watch & Cpu.WatchData) != 0)
        {
            Mmu.FlushWatched(c);
        }

        return trap;
    }

    /// <summary>Executes one instruction; false when there was none, and the exception was delivered.</summary>
    private bool StepOnce(out nint exit)
    {
        Cpu* c = _c;
        exit = Exit.Exception;
        if (_cache.IsFull)
        {
            ResetCode();
        }

        byte* bytes = stackalloc byte[16];
        if (!FetchBytes(bytes, out int length) || _translator.Translate(_cache.Next, bytes, length, 1, chainable: false) == 0)
        {
            DeliverException();
            return false;
        }

        c->Budget = 0;
        Op* op = _cache.Next;
        exit = op->Fn(c, op);
        return true;
    }

    /// <summary>Instruction breakpoints are faults, which RF holds off.</summary>
    private bool MeetsInstructionBreakpoint()
    {
        Cpu* c = _c;
        if ((c->Flags & Rflags.RF) != 0)
        {
            return false;
        }

        ulong a = Mmu.Wrap(c, c->R[17] + c->R[19]);
        ulong met = 0;
        for (int n = 0; n < 4; n++)
        {
            met |= Mmu.BreakpointKind(c, n) == 0 && c->Dr[n] == a ? 1ul << n : 0;
        }

        if (met == 0)
        {
            return false;
        }

        RaiseDebug(met);
        return true;
    }

    private void RaiseDebug(ulong conditions)
    {
        Cpu* c = _c;
        c->Dr[6] = (c->Dr[6] & ~Dr6.Breakpoints) | conditions;
        Mmu.RaiseNoError(c, Vectors.DB);
        DeliverException();
    }
}
