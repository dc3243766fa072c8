using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>The body of <c>vm.send-migration</c>.</summary>
/// <param name="DestinationUrl"><c>tcp:HOST:PORT</c> or <c>unix:PATH</c>.</param>
/// <param name="Local">Memory is handed over and not copied; Unix sockets only.</param>
/// <param name="PreserveSource">The source stays paused and keeps what it owns; with <paramref name="Local"/> only.</param>
/// <param name="DowntimeMs">Aim for the time in which the guest runs nowhere, in milliseconds, from 1.</param>
/// <param name="TimeoutS">Longest time for all of it, in seconds, from 1.</param>
/// <param name="Connections">TCP connections side by side, 1 to 128.</param>
/// <param name="MaxBytesPerS">Most bytes a second on the connection; 0 for as many as go. cnvm's own.</param>
/// <param name="Compression">cnvm's own.</param>
/// <param name="AutoConverge">vCPUs are held back, more with every round, when the guest writes faster than the connection carries. cnvm's own.</param>
/// <param name="Wait">The answer comes when it is over and says how. cnvm's own.</param>
/// <param name="WithDisks">The disks move along, as what the guest sees of them, into files of the target. cnvm's own.</param>
/// <param name="OnlyCheck">The target says what stands in the way, and nothing moves. cnvm's own.</param>
/// <param name="KeepSource">The VM that has moved stays here too, paused, and its VMM does not end. It is not let go on or booted there: it must never run at both places. cnvm's own.</param>
/// <param name="Resume">
/// No new migration: the guest went on at the target before its memory was there, the connection was lost, and this is where the target is now. All
/// else stays as it was. cnvm's own.
/// </param>
/// <param name="DeltaCache">
/// Most bytes of memory for what has been sent of the guest's, so that of pages that are sent again only what has changed goes; 0 for none. With one
/// connection only. cnvm's own.
/// </param>
/// <param name="TlsDir">Directory with ca-cert.pem, client-cert.pem and client-key.pem; null is without TLS.</param>
/// <param name="TlsPeerName">Name that the target's certificate must be for; null for the host of <paramref name="DestinationUrl"/>. cnvm's own.</param>
public sealed record SendMigrationData(
    [property: JsonRequired] string DestinationUrl = "",
    bool Local = false,
    bool PreserveSource = false,
    ulong DowntimeMs = SendMigrationData.DefaultDowntimeMs,
    ulong TimeoutS = SendMigrationData.DefaultTimeoutS,
    TimeoutStrategy TimeoutStrategy = TimeoutStrategy.Cancel,
    uint Connections = 1,
    string? TlsDir = null,
    MigrationMode MemoryMode = MigrationMode.Precopy,
    ulong MaxBytesPerS = 0,
    MigrationCompression Compression = MigrationCompression.Auto,
    bool Wait = false,
    bool AutoConverge = false,
    bool WithDisks = false,
    bool OnlyCheck = false,
    bool KeepSource = false,
    string? TlsPeerName = null,
    bool Resume = false,
    ulong DeltaCache = 0)
{
    public const ulong DefaultDowntimeMs = 300;
    public const ulong DefaultTimeoutS = 3600;
}
