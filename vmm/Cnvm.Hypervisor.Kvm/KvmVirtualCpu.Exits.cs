using Cnvm.Linux;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

// The run loop and its exits. Nothing here allocates, except on the way to a fatal report.
internal sealed unsafe partial class KvmVirtualCpu
{
    /// <summary>
    /// Enters the guest once and handles what made it leave; true when the run is over. A kick ends the run only where
    /// KVM_RUN itself was interrupted: the kernel completes an access that this side has answered before it looks at
    /// immediate_exit, so nothing is half done then.
    /// </summary>
    private bool Step(out VcpuStop stop)
    {
        stop = default;
        if (_requests != 0)
        {
            ServeRequests();
        }

        if (Libc.ioctl(_fd.Value, KvmRequest.KVM_RUN, (nint)0) < 0)
        {
            return Interrupted(LinuxError.Last, out stop);
        }

        switch (_run->exit_reason)
        {
            case KvmConstants.KVM_EXIT_IO: return AccessPort();
            case KvmConstants.KVM_EXIT_MMIO: return AccessMemory();
            case KvmConstants.KVM_EXIT_IOAPIC_EOI: return EndInterrupt();
            case KvmConstants.KVM_EXIT_IRQ_WINDOW_OPEN: return OpenInterruptWindow();
            case KvmConstants.KVM_EXIT_X86_RDMSR: return RefuseMsr(write: false);
            case KvmConstants.KVM_EXIT_X86_WRMSR: return RefuseMsr(write: true);
            case KvmConstants.KVM_EXIT_DIRTY_RING_FULL: return EmptyDirtyRing();
            case KvmConstants.KVM_EXIT_INTR: return false;
            case KvmConstants.KVM_EXIT_DEBUG: return Stop(VcpuStopReason.Debug, out stop);
            case KvmConstants.KVM_EXIT_SHUTDOWN: return Stop(VcpuStopReason.Shutdown, out stop);
            case KvmConstants.KVM_EXIT_SYSTEM_EVENT: return EndSystem(out stop);
            default: return StopFatally(out stop);
        }
    }

    private static bool Stop(VcpuStopReason reason, out VcpuStop stop)
    {
        stop = new VcpuStop(reason);
        return true;
    }

    private bool AccessPort()
    {
        ref kvm_run_io io = ref _run->io;
        byte* data = (byte*)_run + io.data_offset;
        int size = io.size;
        uint count = io.count;
        ushort port = io.port;

        // INS and OUTS move several elements in one exit.
        if (io.direction == KvmConstants.KVM_EXIT_IO_OUT)
        {
            ExitCounters.PortOut++;
            for (; count > 0; count--, data += size)
            {
                // SAFETY: the kernel put count elements of this size on the page behind kvm_run.
                _bus.WritePort(port, new ReadOnlySpan<byte>(data, size));
            }
        }
        else
        {
            ExitCounters.PortIn++;
            for (; count > 0; count--, data += size)
            {
                // SAFETY: as above; the kernel takes the elements from there at the next entry.
                _bus.ReadPort(port, new Span<byte>(data, size));
            }
        }

        return false;
    }

    private bool AccessMemory()
    {
        ref kvm_run_mmio mmio = ref _run->mmio;
        int length = (int)Math.Min(mmio.len, 8);
        fixed (byte* data = mmio.data)
        {
            // SAFETY: the data lies in the mapped page, eight bytes long.
            if (mmio.is_write != 0)
            {
                ExitCounters.MmioWrite++;
                _bus.WriteMmio(mmio.phys_addr, new ReadOnlySpan<byte>(data, length));
            }
            else
            {
                ExitCounters.MmioRead++;
                _bus.ReadMmio(mmio.phys_addr, new Span<byte>(data, length));
            }
        }

        return false;
    }

    private bool EndInterrupt()
    {
        ExitCounters.EndOfInterrupt++;
        _bus.EndOfInterrupt(_run->eoi.vector);
        return false;
    }

    private bool OpenInterruptWindow()
    {
        ExitCounters.Other++;
        Interlocked.Or(ref _requests, RequestPic);
        return false;
    }

    private bool RefuseMsr(bool write)
    {
        ExitCounters.Other++;

        // The guest gets #GP, as from a CPU that has no such register.
        _run->msr.error = 1;
        if (_msrLog.Allows())
        {
            Log.UnknownMsr(_partition.Logger, Index, write ? "WRMSR" : "RDMSR", _run->msr.index, write ? _run->msr.data : 0);
        }

        return false;
    }

    private bool EmptyDirtyRing()
    {
        ExitCounters.Other++;
        _partition.DirtyRingFull();
        return false;
    }

    private bool EndSystem(out VcpuStop stop) =>
        _run->system_event.type is KvmConstants.KVM_SYSTEM_EVENT_SHUTDOWN or KvmConstants.KVM_SYSTEM_EVENT_RESET
            ? Stop(VcpuStopReason.Shutdown, out stop)
            : StopFatally(out stop);

    private bool StopFatally(out VcpuStop stop)
    {
        ExitCounters.Other++;
        stop = new VcpuStop(VcpuStopReason.Fatal, DescribeFatalExit());
        return true;
    }
}
