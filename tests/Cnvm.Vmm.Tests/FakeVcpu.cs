using Cnvm.Arch.Registers;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.State;

namespace Cnvm.Vmm.Tests;

/// <summary>A vCPU whose guest does nothing but wait for a kick, or stops as told.</summary>
internal sealed class FakeVcpu(int index = 0) : IVirtualCpu
{
    private readonly SemaphoreSlim _kicks = new(0);
    private int _inside;

    public int Index => index;

    public int Runs { get; private set; }

    public bool IsBound { get; private set; }

    public bool IsDisposed { get; private set; }

    /// <summary>What the next run returns at once; null waits for a kick.</summary>
    public VcpuStop? NextStop { get; set; }

    public Exception? BindFailure { get; set; }

    /// <summary>Guest code is running now.</summary>
    public bool IsInside => Volatile.Read(ref _inside) == 1;

    public ManualResetEventSlim Entered { get; } = new(false);

    public VcpuExitCounters ExitCounters { get; } = new();

    public void Bind()
    {
        if (BindFailure is { } failure)
        {
            throw failure;
        }

        IsBound = true;
    }

    public VcpuStop Run()
    {
        Runs++;
        Volatile.Write(ref _inside, 1);
        Entered.Set();
        try
        {
            if (NextStop is { } stop)
            {
                NextStop = null;
                return stop;
            }

            _kicks.Wait();
            return new VcpuStop(VcpuStopReason.Kicked);
        }
        finally
        {
            Volatile.Write(ref _inside, 0);
        }
    }

    public void Kick() => _kicks.Release();

    public void SetEntry(VcpuEntry entry)
    {
    }

    public void SetPicOutput(bool asserted)
    {
    }

    public void InjectNmi()
    {
    }

    public void SetDebug(VcpuDebug? debug)
    {
    }

    public VcpuState Save() => throw new NotSupportedException();

    public ulong ReadTsc(out ulong timestamp) => throw new NotSupportedException();

    public void Restore(VcpuState state) => throw new NotSupportedException();

    public void Dispose() => IsDisposed = true;
}
