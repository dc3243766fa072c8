using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor.Soft;

/// <summary>Requests from other threads, interrupts, idling.</summary>
internal sealed unsafe partial class SoftVcpu
{
    private readonly Lock _requestGate = new();
    private readonly ulong[] _invalidations = new ulong[64];
    private int _invalidationCount;
    private int _flushesAsked;
    private int _flushesDone;
    private int _nmiPending;
    private bool _nmiMasked;
    private int _initPending;
    private int _sipiVector = -1;
    private VcpuStop? _stop;

    /// <summary>Any thread.</summary>
    public void RaiseAttention(int bits)
    {
        Interlocked.Or(ref _c->Attention, bits);
        _wake.Wake();
    }

    /// <summary>Interrupts were let in again: if one waits, the next block boundary takes it.</summary>
    public static void NoticeInterrupts(Cpu* c)
    {
        if (c->InterruptWaiting != 0 && (c->Flags & Rflags.IF) != 0)
        {
            c->InterruptWaiting = 0;
            Interlocked.Or(ref c->Attention, AttentionBits.Interrupt);
        }
    }

    /// <summary>IRET: the next NMI may come, and one that waited does.</summary>
    public void NmiDone()
    {
        _nmiMasked = false;
        if (_nmiPending != 0)
        {
            Interlocked.Or(ref _c->Attention, AttentionBits.Interrupt);
        }
    }

    /// <summary>Handles attention bits; true when the run ends with a kick.</summary>
    private bool LookAround()
    {
        int bits = Interlocked.Exchange(ref _c->Attention, 0);
        if ((bits & AttentionBits.FlushAll) != 0)
        {
            RefreshRam();
            ResetCode();
        }

        if ((bits & AttentionBits.FlushWrites) != 0)
        {
            int asked = Volatile.Read(ref _flushesAsked);
            Mmu.FlushWrites(_c);
            Volatile.Write(ref _flushesDone, asked);
        }

        if ((bits & AttentionBits.Invalidate) != 0)
        {
            TakeInvalidations();
        }

        if ((bits & AttentionBits.Signal) != 0)
        {
            TakeSignals();
        }

        if ((bits & AttentionBits.Kick) != 0)
        {
            // What else was asked for is looked at again by the next run.
            Interlocked.Or(ref _c->Attention, bits & AttentionBits.Interrupt);
            ExitCounters.Interrupted++;
            return true;
        }

        if ((bits & AttentionBits.Interrupt) != 0)
        {
            TakeInterrupts();
        }

        return false;
    }

    private void TakeInterrupts()
    {
        if (_mp is not (MpState.Runnable or MpState.Halted))
        {
            return;
        }

        Cpu* c = _c;
        if (!_nmiMasked && Interlocked.Exchange(ref _nmiPending, 0) != 0)
        {
            _mp = MpState.Runnable;
            _nmiMasked = true;
            DeliverInterrupt(Vectors.NMI);
        }

        if (!Apic.HasInterrupt())
        {
            return;
        }

        if ((c->Flags & Rflags.IF) == 0 || c->Shadow != 0)
        {
            c->InterruptWaiting = 1;
            return;
        }

        int vector = Apic.Acknowledge();
        if (vector < 0)
        {
            return;
        }

        _mp = MpState.Runnable;
        DeliverInterrupt(vector);
        if (Apic.HasInterrupt())
        {
            c->InterruptWaiting = 1;
        }
    }

    /// <summary>Sleeps until something happens. HLT and processors that wait for their start-up come here.</summary>
    private void Idle()
    {
        _wake.Prepare();
        if (Volatile.Read(ref _c->Attention) == 0)
        {
            long wait = _mp == MpState.Halted ? Apic.NanosecondsToTimer() : -1;
            if (wait != 0)
            {
                // Asleep, the vCPU holds no translations that anyone need wait for.
                Volatile.Write(ref _inGuest, 0);
                Interlocked.MemoryBarrier();
                _wake.Sleep(wait);
                Volatile.Write(ref _inGuest, 1);
                Interlocked.MemoryBarrier();
                Interlocked.Or(ref _c->Attention, AttentionBits.FlushWrites | AttentionBits.Invalidate);
            }
        }

        _wake.Cancel();
        CheckTimer();
    }

    private void CheckTimer()
    {
        if (Apic.CheckTimer())
        {
            Interlocked.Or(ref _c->Attention, AttentionBits.Interrupt);
        }
    }

    public void PostInit()
    {
        Interlocked.Exchange(ref _initPending, 1);
        RaiseAttention(AttentionBits.Signal);
    }

    public void PostStartup(byte vector)
    {
        Interlocked.Exchange(ref _sipiVector, vector);
        RaiseAttention(AttentionBits.Signal);
    }

    private void TakeSignals()
    {
        if (_mp == MpState.Halted && Interlocked.Exchange(ref _unhalt, 0) != 0)
        {
            _mp = MpState.Runnable;
        }

        if (Interlocked.Exchange(ref _initPending, 0) != 0)
        {
            ulong tscAux = _c->TscAux;
            Reset();
            _c->TscAux = tscAux;
            Apic.Initialize();
            Volatile.Write(ref _unhalt, 0);
            _mp = MpState.WaitForSipi;
        }

        int vector = Interlocked.Exchange(ref _sipiVector, -1);
        if (vector >= 0 && _mp == MpState.WaitForSipi)
        {
            Ops.Segments.Set(_c, Ops.Segments.CS, (ushort)(vector << 8), (ulong)vector << 12, 0xffff, 0x9b);
            _c->R[17] = 0;
            UpdateMode();
            _mp = MpState.Runnable;
        }
    }

    /// <summary>The guest wrote under translated code (any vCPU's).</summary>
    public void CodeWasWritten(ulong page, ulong* lines)
    {
        Interlocked.Exchange(ref *lines, 0);
        _cache.Invalidate(page);
        _partition.InvalidateElsewhere(this, page);
    }

    /// <summary>Another vCPU wrote under code that may be translated here. Any thread.</summary>
    public void PostInvalidation(ulong page)
    {
        lock (_requestGate)
        {
            if (_invalidationCount < _invalidations.Length)
            {
                _invalidations[_invalidationCount] = page;
            }

            _invalidationCount++;
        }

        RaiseAttention(AttentionBits.Invalidate);
    }

    private void TakeInvalidations()
    {
        lock (_requestGate)
        {
            if (_invalidationCount > _invalidations.Length)
            {
                ResetCode();
            }
            else
            {
                for (int i = 0; i < _invalidationCount; i++)
                {
                    _cache.Invalidate(_invalidations[i]);
                }
            }

            _invalidationCount = 0;
        }
    }

    /// <summary>Asks for the write translations to be dropped; see <see cref="FlushedWrites"/>. Any thread.</summary>
    public int AskFlushWrites()
    {
        int ticket = Interlocked.Increment(ref _flushesAsked);
        RaiseAttention(AttentionBits.FlushWrites);
        Interlocked.MemoryBarrier();
        return ticket;
    }

    /// <summary>True once the request was obeyed, or will be before any more guest code runs.</summary>
    public bool FlushedWrites(int ticket) => Volatile.Read(ref _inGuest) == 0 || Volatile.Read(ref _flushesDone) - ticket >= 0;

    /// <summary>Obeys a request of others while this vCPU waits for them.</summary>
    public void ObeyFlush()
    {
        int asked = Volatile.Read(ref _flushesAsked);
        if (asked != _flushesDone)
        {
            Mmu.FlushWrites(_c);
            Volatile.Write(ref _flushesDone, asked);
        }
    }
}
