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
/// <param name="TlsDir">Directory with certificates and keys; null is without TLS.</param>
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
    bool AutoConverge = false)
{
    public const ulong DefaultDowntimeMs = 300;
    public const ulong DefaultTimeoutS = 3600;
}
