using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor.Soft;

/// <summary>Events that were under way where a state was saved.</summary>
internal sealed unsafe partial class SoftVcpu
{
    private static readonly VcpuEvents s_nothing = new();

    /// <summary>Vector of an interrupt that was acknowledged where the state was saved and has not reached its handler; -1: none.</summary>
    private int _injected = -1;

    /// <summary>The exception that the saved vCPU was about to take, as it came; <see cref="s_nothing"/>: none.</summary>
    private VcpuEvents _arrived = s_nothing;

    private VcpuEvents SaveEvents() => _arrived with
    {
        InterruptShadow = (byte)_c->Shadow,
        NmiPending = _nmiPending != 0,
        NmiMasked = _nmiMasked,
        NmiInjected = _injected == Vectors.NMI,
        InterruptInjected = _injected > Vectors.NMI,
        InterruptVector = (byte)(_injected > Vectors.NMI ? _injected : 0),
        TripleFaultPending = _stop is { Reason: VcpuStopReason.Shutdown },
    };

    private void RestoreEvents(VcpuEvents events)
    {
        _c->Shadow = events.InterruptShadow;
        _nmiPending = events.NmiPending ? 1 : 0;
        _nmiMasked = events.NmiMasked;
        _injected = events.NmiInjected ? Vectors.NMI : events.InterruptInjected && !events.InterruptIsSoftware ? events.InterruptVector : -1;
        _stop = events.TripleFaultPending ? new VcpuStop(VcpuStopReason.Shutdown) : null;
        _arrived = !events.ExceptionPending && !events.ExceptionInjected ? s_nothing : new VcpuEvents
        {
            ExceptionInjected = events.ExceptionInjected,
            ExceptionPending = events.ExceptionPending,
            ExceptionVector = events.ExceptionVector,
            ExceptionHasErrorCode = events.ExceptionHasErrorCode,
            ExceptionErrorCode = events.ExceptionErrorCode,
            ExceptionHasPayload = events.ExceptionHasPayload,
            ExceptionPayload = events.ExceptionPayload,
        };
    }

    /// <summary>Delivers what the saved vCPU was about to take, before its next instruction.</summary>
    private void DeliverArrived()
    {
        VcpuEvents exception = _arrived;
        _arrived = s_nothing;
        if (exception.ExceptionVector == Vectors.DB && exception is not { ExceptionPending: false, ExceptionInjected: false })
        {
            DeliverDebug(exception);
        }

        if (_injected >= 0)
        {
            int vector = _injected;
            _injected = -1;
            _mp = MpState.Runnable;
            DeliverInterrupt(vector);
        }
    }

    /// <summary>
    /// Traps come once: their instruction is done (SDM vol. 3 §6.5). Faults need nothing, since their instruction is executed again, and a saved state
    /// stands at INT3 and INTO, not behind them.
    /// </summary>
    private void DeliverDebug(VcpuEvents exception)
    {
        Cpu* c = _c;
        if (exception is { ExceptionPending: true, ExceptionHasPayload: true })
        {
            // A payload has the conditions as VMX's pending debug exceptions do: what DR6 has as 0 is 1 there, and bit 12 is not DR6's (SDM vol. 3 §25.4.2).
            ulong raised = exception.ExceptionPayload;
            c->Dr[6] = (((c->Dr[6] & ~Dr6.Breakpoints) | Dr6.ActiveLow | raised) ^ (raised & Dr6.ActiveLow)) & ~Dr6.PendingOnly;
        }

        _mp = MpState.Runnable;
        c->Shadow = 0;
        Mmu.RaiseNoError(c, Vectors.DB);
        DeliverException();
    }
}
