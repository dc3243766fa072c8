using Cnvm.Hypervisor;
using Cnvm.Linux;

namespace Cnvm.Vmm.Vcpus;

/// <summary>
/// The thread that one vCPU lives on. It is parked (no guest code runs, state may be read and set from outside) or running;
/// other threads ask for one or the other and wait until it is so.
/// </summary>
internal sealed class VcpuThread : IDisposable
{
    private readonly IVirtualCpu _vcpu;
    private readonly Action<int, VcpuStop> _onStop;
    private readonly int[]? _hostCpus;
    private readonly Thread _thread;

    // Guards the flags below; the thread and those who wait for it sleep on it.
    private readonly object _gate = new();
    private bool _mayRun;
    private bool _isWaiting;
    private bool _isHeld;
    private bool _exit;
    private Exception? _startFailure;

    /// <param name="vcpu">The vCPU; disposed with this object.</param>
    /// <param name="hostCpus">Host CPUs that the thread may run on; null for all.</param>
    /// <param name="onStop">Told, on the vCPU's thread, of every stop that is not a kick. The thread then parks.</param>
    public VcpuThread(IVirtualCpu vcpu, int[]? hostCpus, Action<int, VcpuStop> onStop)
    {
        _vcpu = vcpu;
        _onStop = onStop;
        _hostCpus = hostCpus;
        // Deep recursion never happens here; a small stack keeps many vCPUs cheap.
        _thread = new Thread(Main, 256 * 1024) { Name = $"vcpu{vcpu.Index}", IsBackground = true };
    }

    public IVirtualCpu Vcpu => _vcpu;

    /// <summary>Starts the thread, parked.</summary>
    /// <exception cref="HypervisorException">The vCPU could not be bound, or the host CPUs not be set.</exception>
    public void Start()
    {
        _thread.Start();
        WaitParked();
        if (_startFailure is { } failure)
        {
            throw new HypervisorException($"vcpu{_vcpu.Index}: {failure.Message}", failure);
        }
    }

    /// <summary>Lets guest code run.</summary>
    public void Run()
    {
        lock (_gate)
        {
            _mayRun = true;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Asks the vCPU to park; returns at once. Safe on the vCPU's own thread.</summary>
    public void RequestPark()
    {
        lock (_gate)
        {
            _mayRun = false;
        }

        _vcpu.Kick();
    }

    /// <summary>While held, no guest code runs, whether the vCPU is parked or not. Returns at once; any thread.</summary>
    public void Hold(bool held)
    {
        lock (_gate)
        {
            _isHeld = held;
            Monitor.PulseAll(_gate);
        }

        if (held)
        {
            _vcpu.Kick();
        }
    }

    /// <summary>Waits until the vCPU has parked. Not on the vCPU's own thread.</summary>
    public void WaitParked()
    {
        lock (_gate)
        {
            while (!_isWaiting || _mayRun)
            {
                Monitor.Wait(_gate);
            }
        }
    }

    /// <summary>Ends the thread. The vCPU stays, and another one may be made for it.</summary>
    public void End()
    {
        lock (_gate)
        {
            _exit = true;
            _mayRun = false;
            Monitor.PulseAll(_gate);
        }

        _vcpu.Kick();
        if (!_thread.ThreadState.HasFlag(ThreadState.Unstarted))
        {
            _thread.Join();
        }
    }

    /// <summary>Ends the thread and disposes the vCPU.</summary>
    public void Dispose()
    {
        End();
        _vcpu.Dispose();
    }

    private void Main()
    {
        NativeThread.ShowName();
        try
        {
            if (_hostCpus is { } cpus)
            {
                NativeThread.SetAffinity(cpus);
            }

            _vcpu.Bind();
        }
        catch (Exception e) when (e is HypervisorException or LinuxException)
        {
            lock (_gate)
            {
                _startFailure = e;
                _isWaiting = true;
                Monitor.PulseAll(_gate);
            }

            return;
        }

        while (WaitForTurn())
        {
            VcpuStop stop = _vcpu.Run();
            if (stop.Reason != VcpuStopReason.Kicked)
            {
                lock (_gate)
                {
                    _mayRun = false;
                }

                _onStop(_vcpu.Index, stop);
            }
        }
    }

    /// <summary>Parks while the vCPU may not run; false when the thread is to end.</summary>
    private bool WaitForTurn()
    {
        lock (_gate)
        {
            _isWaiting = true;
            Monitor.PulseAll(_gate);
            while ((!_mayRun || _isHeld) && !_exit)
            {
                Monitor.Wait(_gate);
            }

            _isWaiting = false;
            return !_exit;
        }
    }
}
