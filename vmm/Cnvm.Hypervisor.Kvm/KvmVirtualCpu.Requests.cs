using Cnvm.Linux;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

// What other threads ask of the vCPU's thread: stop, NMI, a PIC interrupt.
internal sealed unsafe partial class KvmVirtualCpu
{
    private const int RequestStop = 1;
    private const int RequestNmi = 2;
    private const int RequestPic = 4;

    private readonly RateLimit _msrLog = new(burst: 16, perSecond: 1);
    private int _requests;
    private bool _picAsserted;

    // A vector that KVM_INTERRUPT took may not be in the guest yet.
    private bool _picInFlight;

    public void Kick() => Request(RequestStop);

    public void InjectNmi() => Request(RequestNmi);

    public void SetPicOutput(bool asserted)
    {
        Volatile.Write(ref _picAsserted, asserted);
        if (asserted)
        {
            Request(RequestPic);
        }
    }

    /// <summary>Posts a request and makes a current or the next KVM_RUN return, so that the vCPU's thread sees it.</summary>
    /// <remarks>
    /// Order matters: request, then immediate_exit, then the signal; <see cref="Interrupted"/> clears in the reverse order.
    /// A request that comes after the clearing therefore leaves immediate_exit set, and none is ever lost.
    /// </remarks>
    private void Request(int request)
    {
        Interlocked.Or(ref _requests, request);
        Volatile.Write(ref _run->immediate_exit, 1);
        Interlocked.MemoryBarrier();
        int thread = Volatile.Read(ref _runningThread);

        // The vCPU's own thread (a device on its bus) is outside KVM_RUN, where immediate_exit is enough.
        if (thread != 0 && thread != NativeThread.CurrentId)
        {
            KickSignal.Send(thread);
        }
    }

    /// <summary>KVM_RUN returned without an exit: a request, a stray signal, or a start-up state that changed.</summary>
    private bool Interrupted(int errno, out VcpuStop stop)
    {
        stop = default;
        if (errno is not (Errno.EINTR or Errno.EAGAIN))
        {
            stop = new VcpuStop(VcpuStopReason.Fatal, DescribeRefusedRun(errno));
            return true;
        }

        ExitCounters.Interrupted++;
        KickSignal.Drain();
        Volatile.Write(ref _run->immediate_exit, 0);
        if ((Interlocked.And(ref _requests, ~RequestStop) & RequestStop) == 0)
        {
            return false;
        }

        if (_picInFlight)
        {
            CommitPicInterrupt();
        }

        stop = new VcpuStop(VcpuStopReason.Kicked);
        return true;
    }

    /// <summary>Passes NMIs and PIC interrupts to the kernel; on the vCPU's thread, outside KVM_RUN.</summary>
    private void ServeRequests()
    {
        if ((Interlocked.And(ref _requests, ~RequestNmi) & RequestNmi) != 0)
        {
            KvmIoctl.Call(_fd.Value, KvmRequest.KVM_NMI);
        }

        if ((Volatile.Read(ref _requests) & RequestPic) != 0)
        {
            ServePic();
        }
    }

    private void ServePic()
    {
        // Off first: an edge that comes while this runs asks again.
        Interlocked.And(ref _requests, ~RequestPic);
        if (!Volatile.Read(ref _picAsserted))
        {
            _run->request_interrupt_window = 0;
            return;
        }

        if (_run->ready_for_interrupt_injection == 0)
        {
            // The guest cannot take it now; KVM_EXIT_IRQ_WINDOW_OPEN comes when it can.
            _run->request_interrupt_window = 1;
            return;
        }

        _run->request_interrupt_window = 0;
        var interrupt = new kvm_interrupt { irq = _bus.AcknowledgePic() };
        KvmIoctl.Call(_fd.Value, KvmRequest.KVM_INTERRUPT, ref interrupt);
        _picInFlight = true;

        // Stale until the guest has taken this one. If more is waiting, the window's exit brings it here.
        _run->ready_for_interrupt_injection = 0;
        _run->request_interrupt_window = Volatile.Read(ref _picAsserted) ? (byte)1 : (byte)0;
    }

    /// <summary>
    /// Turns a vector that KVM_INTERRUPT took into an injected interrupt, which can be read. KVM does so on its way into the
    /// guest; a pending signal then turns it back before a guest instruction runs.
    /// </summary>
    private void CommitPicInterrupt()
    {
        // A halted vCPU needs one round to wake and another to take the interrupt.
        for (int round = 0; _picInFlight && round < 3; round++)
        {
            Volatile.Write(ref _run->immediate_exit, 0);
            KickSignal.Send(NativeThread.CurrentId);
            int result = Libc.ioctl(_fd.Value, KvmRequest.KVM_RUN, (nint)0);
            KickSignal.Drain();
            kvm_vcpu_events events = default;
            KvmIoctl.Call(_fd.Value, KvmRequest.KVM_GET_VCPU_EVENTS, ref events);
            _picInFlight = result < 0 && events.interrupt_injected == 0;
        }

        _picInFlight = false;
    }
}
