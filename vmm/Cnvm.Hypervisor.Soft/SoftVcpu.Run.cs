using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Ops;
using Cnvm.Hypervisor.Soft.Platform;
using Cnvm.Hypervisor.Soft.Translation;
using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor.Soft;

/// <summary>The dispatcher: finds blocks, runs them, and looks after everything that is not an operation.</summary>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>Instructions between two looks at the clock.</summary>
    private const int Slice = 1000;

    /// <summary>The page's address in a block's key.</summary>
    private const ulong PhysicalPage = 0x00ff_ffff_ffff_f000;

    private readonly Sleeper _wake = new();
    private int _inGuest;
    private int _generation;

    public VcpuStop Run()
    {
        Volatile.Write(ref _inGuest, 1);
        Interlocked.MemoryBarrier();
        VcpuStop stop = RunGuest();
        Volatile.Write(ref _inGuest, 0);
        Interlocked.MemoryBarrier();
        return stop;
    }

    private VcpuStop RunGuest()
    {
        Cpu* c = _c;
        // Requests may have been posted while the vCPU was outside.
        Interlocked.Or(ref c->Attention, AttentionBits.FlushWrites | AttentionBits.Invalidate | AttentionBits.Interrupt);
        bool atStop = true;
        if (_injected >= 0 || !ReferenceEquals(_arrived, s_nothing))
        {
            DeliverArrived();
        }

        for (; ; )
        {
            if (c->Shadow != 0)
            {
                c->Shadow = 0;
                Step();
            }

            if (Volatile.Read(ref c->Attention) != 0 && LookAround())
            {
                return new VcpuStop(VcpuStopReason.Kicked);
            }

            if (_mp != MpState.Runnable)
            {
                Idle();
                continue;
            }

            if (_stop is { } reason)
            {
                _stop = null;
                return reason;
            }

            if (c->Budget <= 0)
            {
                c->Budget = Slice;
                CheckTimer();
                continue;
            }

            if (_debug is { } debug)
            {
                if (StepForDebugger(debug, ref atStop))
                {
                    return new VcpuStop(VcpuStopReason.Debug);
                }

                continue;
            }

            if (((c->Flags & Rflags.TF) | (uint)c->Watch) != 0)
            {
                Step();
                continue;
            }

            Op* op = Find();
            if (op == null)
            {
                DeliverException();
                continue;
            }

            Handle(op->Fn(c, op));
        }
    }

    private void Handle(nint exit)
    {
        switch (exit)
        {
            case Exit.Lookup:
                break;
            case Exit.Chain:
                Resolve();
                break;
            case Exit.Exception:
                DeliverException();
                break;
            case Exit.Halt:
                _mp = Interlocked.Exchange(ref _unhalt, 0) == 0 ? MpState.Halted : MpState.Runnable;
                break;
            default:
                _stop = new VcpuStop(VcpuStopReason.Shutdown);
                break;
        }
    }

    /// <summary>Links the branch that came back to the block it leads to.</summary>
    private void Resolve()
    {
        Op* branch = _c->ExitOp;
        int generation = _generation;
        Op* target = Find();
        if (target == null)
        {
            DeliverException();
        }
        else if (generation == _generation && ((_c->R[17] + _c->R[19]) & 0xfff) < 0xff1)
        {
            branch->Target = target;
        }
    }

    /// <summary>The operations at RIP; null with an exception described when there are none.</summary>
    private Op* Find()
    {
        Cpu* c = _c;
        if (c->R[17] > c->Limit[Ops.Segments.CS] && !Ops.Segments.Code64(c))
        {
            Mmu.Raise(c, Vectors.GP, 0);
            return null;
        }

        ulong a = Mmu.Wrap(c, c->R[17] + c->R[19]);
        ExecEntry* e = c->ExecTlb + ((uint)(a >> 12) & Mmu.TlbMask);
        if (e->Tag != (a & Mmu.PageMask) && !FillExec(a, e))
        {
            return null;
        }

        ulong key = e->Phys | (a & 0xfff) | c->ModeKey;
        JumpEntry* j = c->Jumps + JumpTable.Hash(key);
        if (j->Key == key)
        {
            return j->First;
        }

        if ((a & 0xfff) > 0xff0 && _crossings.TryGetValue(key, out nint crossing))
        {
            return Crossing(key, a, (CrossingBlock*)crossing);
        }

        Block* block = _cache.Find(key);
        if (block == null)
        {
            if (_cache.IsFull)
            {
                ResetCode();
                return Find();
            }

            block = TranslateAt(key, a, e->Page);
            if (block == null)
            {
                return Crossing(key, a, null);
            }
        }

        j->Key = key;
        j->First = block->Ops;
        return block->Ops;
    }

    private bool FillExec(ulong a, ExecEntry* e)
    {
        Cpu* c = _c;
        if ((c->Efer & ControlBits.EFER_LMA) != 0 && !Mmu.IsCanonical(a))
        {
            Mmu.Raise(c, Vectors.GP, 0);
            return false;
        }

        if (!Mmu.Walk(c, a, Access.Execute, c->Cpl == 3, implicitAccess: false))
        {
            return false;
        }

        ulong phys = c->WalkPhys & Mmu.PageMask;
        RamSlot* ram = Mmu.FindRam(c, phys);
        if (ram == null)
        {
            // Outside RAM a fetch sees an idle bus: all ones, which is no instruction.
            Mmu.RaiseNoError(c, Vectors.UD);
            return false;
        }

        if (_cache.IsFull)
        {
            ResetCode();
        }

        CodePage* page = _cache.Page(phys, ram);
        if (!CodeCache.IsCurrent(page))
        {
            _cache.Invalidate(phys);
        }

        int slot = (int)(a >> 12) & Mmu.TlbMask;
        c->TlbGroups[Mmu.DataSets + (c->ExecTlb == c->ExecSets ? 0 : 1)] |= 1ul << (slot >> Mmu.TlbGroupShift);
        e->Tag = a & Mmu.PageMask;
        e->Phys = phys;
        e->Page = page;
        e->Global = c->WalkFlags & Mmu.WalkGlobal;
        return true;
    }

    private Block* TranslateAt(ulong key, ulong a, CodePage* page)
    {
        int offset = (int)(a & 0xfff);
        if (!CodeCache.IsCurrent(page))
        {
            // A device wrote here; sealing the page anew would hide that from the blocks it already has.
            _cache.Invalidate(key & PhysicalPage);
        }

        int ops = _translator.Translate(_cache.Next, page->Host + offset, 0x1000 - offset, Translator.MaxInstructions, chainable: true);
        if (ops == 0)
        {
            return null;
        }

        int first = offset >> 6;
        int last = Math.Min(63, (offset + _translator.ByteLength - 1) >> 6);
        ulong lines = (~0ul << first) & (~0ul >> (63 - last));
        ulong before = Interlocked.Or(ref *page->SharedLines, lines);
        if ((before & lines) != lines)
        {
            // From here on writes are noticed; what was written while we decoded is read again.
            Mmu.FlushWrites(_c);
            if (before == 0)
            {
                _partition.FlushWritesElsewhere(this);
            }

            ops = _translator.Translate(_cache.Next, page->Host + offset, 0x1000 - offset, Translator.MaxInstructions, chainable: true);
            if (ops == 0)
            {
                return null;
            }
        }

        page->Lines |= lines;
        Block* block = _cache.Commit(key, page, ops);
        CodeCache.Seal(page);
        return block;
    }

    private void ResetCode()
    {
        _generation++;
        _cache.Reset();
        ResetCrossings();
        Mmu.FlushExec(_c);
    }

    /// <summary>Up to 15 instruction bytes at RIP; false when not even one can be fetched.</summary>
    private bool FetchBytes(byte* bytes, out int length)
    {
        Cpu* c = _c;
        ulong a = Mmu.Wrap(c, c->R[17] + c->R[19]);
        length = 0;
        while (length < 15)
        {
            ulong at = Mmu.Wrap(c, a + (uint)length);
            ExecEntry* e = c->ExecTlb + ((uint)(at >> 12) & Mmu.TlbMask);
            if (e->Tag != (at & Mmu.PageMask) && !FillExec(at, e))
            {
                return length > 0;
            }

            int part = Math.Min(15 - length, 0x1000 - (int)(at & 0xfff));
            Buffer.MemoryCopy(e->Page->Host + (at & 0xfff), bytes + length, part, part);
            length += part;
        }

        return true;
    }
}
