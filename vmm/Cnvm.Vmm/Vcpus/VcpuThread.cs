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
    private readonly Lock _gate = new();
    private readonly ManualResetEventSlim _parked = new(false);
    private readonly ManualResetEventSlim _mayRun = new(false);
    private volatile bool _exit;
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
        _parked.Wait();
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
            _parked.Reset();
            _mayRun.Set();
        }
    }

    /// <summary>Asks the vCPU to park; returns at once. Safe on the vCPU's own thread.</summary>
    public void RequestPark()
    {
        lock (_gate)
        {
            _mayRun.Reset();
        }

        _vcpu.Kick();
    }

    /// <summary>Waits until the vCPU has parked. Not on the vCPU's own thread.</summary>
    public void WaitParked() => _parked.Wait();

    /// <summary>Ends the thread and disposes the vCPU.</summary>
    public void Dispose()
    {
        _exit = true;
        RequestPark();
        _mayRun.Set();
        if (_thread.ThreadState.HasFlag(ThreadState.Unstarted) is false)
        {
            _thread.Join();
        }

        _vcpu.Dispose();
        _parked.Dispose();
        _mayRun.Dispose();
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
            _startFailure = e;
            _parked.Set();
            return;
        }

        while (WaitForTurn())
        {
            VcpuStop stop = _vcpu.Run();
            if (stop.Reason != VcpuStopReason.Kicked)
            {
                lock (_gate)
                {
                    _mayRun.Reset();
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
            if (!_mayRun.IsSet)
            {
                _parked.Set();
            }
        }

        _mayRun.Wait();
        return !_exit;
    }
}
