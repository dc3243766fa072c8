using Cnvm.Linux;

namespace Cnvm.Vmm.Vcpus;

/// <summary>
/// Holds all vCPUs of a machine back for a share of their time, so that its guest writes less. Held vCPUs are not parked: whoever pauses or
/// resumes the machine meanwhile need not know. Any thread.
/// </summary>
internal sealed class VcpuThrottle : IDisposable
{
    private const int PeriodMilliseconds = 50;
    private const int StackBytes = 128 << 10;
    private readonly VcpuSet _vcpus;
    private readonly ManualResetEventSlim _ended = new(false);
    private readonly Thread _thread;
    private int _percent;

    /// <param name="percent">1 to 99.</param>
    public VcpuThrottle(VcpuSet vcpus, int percent)
    {
        _vcpus = vcpus;
        _percent = percent;
        _thread = new Thread(Run, StackBytes) { Name = "vcpu-throttle", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Share of the time, from 1 to 99.</summary>
    public int Percent
    {
        set => Volatile.Write(ref _percent, value);
    }

    /// <summary>Lets them run as they like. Before the vCPUs are disposed.</summary>
    public void Dispose()
    {
        _ended.Set();
        _thread.Join();
        _ended.Dispose();
    }

    private void Run()
    {
        NativeThread.ShowName();
        int held;
        do
        {
            held = PeriodMilliseconds * Volatile.Read(ref _percent) / 100;
            _vcpus.Hold(true);
            _ended.Wait(held);
            _vcpus.Hold(false);
        }
        while (!_ended.Wait(Math.Max(1, PeriodMilliseconds - held)));
    }
}
