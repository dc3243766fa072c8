using System.Diagnostics;

namespace Cnvm.Vmm.Migration;

/// <summary>What is known of a migration. One thread changes it, any thread looks.</summary>
internal sealed class MigrationProgress
{
    private readonly Lock _gate = new();
    private readonly long _started = Stopwatch.GetTimestamp();
    private MigrationInfo _info;
    private long _ended;

    public MigrationProgress(MigrationSide side, string url) => _info = new MigrationInfo(
        side,
        MigrationPhase.Connecting,
        side == MigrationSide.Source ? GuestPlace.Here : GuestPlace.There,
        url,
        Peer: null,
        Compression: null,
        Rounds: 0,
        MemoryBytes: 0,
        DataPages: 0,
        ZeroPages: 0,
        TransferredBytes: 0,
        RemainingBytes: 0,
        BandwidthBytesPerS: 0,
        DirtyBytesPerS: 0,
        ExpectedDowntimeMs: null,
        DowntimeMs: null,
        ThrottlePercent: 0,
        ElapsedMs: 0,
        Error: null,
        DiskBytes: 0,
        DiskDataBytes: 0,
        DiskZeroBytes: 0,
        PostcopyFaults: 0,
        DeltaPages: 0,
        DeltaSavedBytes: 0);

    public MigrationPhase Phase => Info().Phase;

    /// <summary>Changes it.</summary>
    public void Set(Func<MigrationInfo, MigrationInfo> change)
    {
        lock (_gate)
        {
            _info = change(_info);
        }
    }

    public void Enter(MigrationPhase phase) => Set(i => i with { Phase = phase });

    /// <summary>It is over.</summary>
    public void End(MigrationPhase phase, GuestPlace guest, string? error)
    {
        lock (_gate)
        {
            _ended = Stopwatch.GetTimestamp();
            _info = _info with { Phase = phase, Guest = guest, Error = error };
        }
    }

    public MigrationInfo Info()
    {
        lock (_gate)
        {
            TimeSpan elapsed = _ended == 0 ? Stopwatch.GetElapsedTime(_started) : Stopwatch.GetElapsedTime(_started, _ended);
            return _info with { ElapsedMs = (ulong)elapsed.TotalMilliseconds };
        }
    }
}
