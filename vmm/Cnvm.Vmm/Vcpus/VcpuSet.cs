using Cnvm.Hypervisor;

namespace Cnvm.Vmm.Vcpus;

/// <summary>All vCPUs of a machine, parked and run together.</summary>
internal sealed class VcpuSet : IDisposable
{
    private readonly List<VcpuThread> _threads = [];

    public int Count => _threads.Count;

    public IVirtualCpu this[int index] => _threads[index].Vcpu;

    /// <summary>Takes a vCPU over and starts its thread, parked.</summary>
    /// <exception cref="HypervisorException">The thread could not be set up; the vCPU is disposed.</exception>
    public void Add(IVirtualCpu vcpu, int[]? hostCpus, Action<int, VcpuStop> onStop)
    {
        var thread = new VcpuThread(vcpu, hostCpus, onStop);
        _threads.Add(thread);
        thread.Start();
    }

    public void Run()
    {
        foreach (VcpuThread thread in _threads)
        {
            thread.Run();
        }
    }

    /// <summary>Asks all vCPUs to park; returns at once. Any thread, vCPU threads too.</summary>
    public void RequestPark()
    {
        foreach (VcpuThread thread in _threads)
        {
            thread.RequestPark();
        }
    }

    /// <summary>Parks all vCPUs and waits until none runs guest code. Not on a vCPU's thread.</summary>
    public void Park()
    {
        RequestPark();
        foreach (VcpuThread thread in _threads)
        {
            thread.WaitParked();
        }
    }

    /// <inheritdoc cref="VcpuThread.Hold"/>
    public void Hold(bool held)
    {
        foreach (VcpuThread thread in _threads)
        {
            thread.Hold(held);
        }
    }

    public IReadOnlyList<VcpuExitCounters> ExitCounters() => _threads.ConvertAll(t => t.Vcpu.ExitCounters);

    public void InjectNmi()
    {
        foreach (VcpuThread thread in _threads)
        {
            thread.Vcpu.InjectNmi();
        }
    }

    public void Dispose()
    {
        RequestPark();
        foreach (VcpuThread thread in _threads)
        {
            thread.Dispose();
        }

        _threads.Clear();
    }
}
