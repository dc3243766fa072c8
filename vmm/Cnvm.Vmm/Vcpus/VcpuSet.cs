using Cnvm.Hypervisor;

namespace Cnvm.Vmm.Vcpus;

/// <summary>
/// All vCPUs of a machine in the order of their indices, parked and run together. One thread adds and removes; any may use the others,
/// and sees the vCPUs that there were a moment ago.
/// </summary>
internal sealed class VcpuSet : IDisposable
{
    private volatile VcpuThread[] _threads = [];

    public int Count => _threads.Length;

    /// <summary>By its place in the order, which is its index unless one before it is missing.</summary>
    public IVirtualCpu this[int position] => _threads[position].Vcpu;

    /// <summary>Whether the vCPU of this index is there.</summary>
    public bool Has(int index) => Array.Exists(_threads, t => t.Vcpu.Index == index);

    /// <summary>Takes a vCPU over and starts its thread, parked.</summary>
    /// <exception cref="HypervisorException">The thread could not be set up; the vCPU is still the caller's.</exception>
    public void Add(IVirtualCpu vcpu, int[]? hostCpus, Action<int, VcpuStop> onStop)
    {
        var thread = new VcpuThread(vcpu, hostCpus, onStop);
        try
        {
            thread.Start();
        }
        catch
        {
            thread.End();
            throw;
        }

        int place = Array.FindIndex(_threads, t => t.Vcpu.Index > vcpu.Index);
        place = place < 0 ? _threads.Length : place;
        _threads = [.. _threads[..place], thread, .. _threads[place..]];
    }

    /// <summary>Ends the thread of the vCPU of this index, which is there; the vCPU is the caller's again.</summary>
    public IVirtualCpu Remove(int index)
    {
        VcpuThread thread = Array.Find(_threads, t => t.Vcpu.Index == index)!;
        _threads = Array.FindAll(_threads, t => t != thread);
        thread.End();
        return thread.Vcpu;
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

    public IReadOnlyList<VcpuExitCounters> ExitCounters() => Array.ConvertAll(_threads, t => t.Vcpu.ExitCounters);

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

        _threads = [];
    }
}
