namespace Cnvm.Vmm.Migration;

/// <summary>What may be changed while a migration runs. Any thread.</summary>
internal sealed class MigrationLimits
{
    private ulong _downtimeMs;
    private ulong _bandwidth;
    private ulong _timeoutS;

    /// <summary>Longest time in which the guest stands still, in milliseconds.</summary>
    public ulong DowntimeMs
    {
        get => Volatile.Read(ref _downtimeMs);
        set => Volatile.Write(ref _downtimeMs, value);
    }

    /// <summary>Most bytes a second on the connection; 0 for as many as go.</summary>
    public ulong BandwidthBytesPerS
    {
        get => Volatile.Read(ref _bandwidth);
        set => Volatile.Write(ref _bandwidth, value);
    }

    /// <summary>Longest time for all of it, in seconds.</summary>
    public ulong TimeoutS
    {
        get => Volatile.Read(ref _timeoutS);
        set => Volatile.Write(ref _timeoutS, value);
    }
}
