using Cnvm.Linux;
using Cnvm.Vmm.Config;

namespace Cnvm.Vmm.Requests;

/// <summary>What can be told to be wrong about a request's body without looking at any machine. Fields are named as in JSON.</summary>
public static class RequestValidator
{
    private const uint MaxConnections = 128;
    private const ulong MinDeltaCache = 1 << 20;
    private const ulong MaxDeltaCache = 64UL << 30;
    private const uint SectorBytes = 512;
    private const string FileScheme = "file://";

    /// <exception cref="ConfigException">A field is wrong.</exception>
    public static void ThrowIfInvalid(VmResize resize)
    {
        ArgumentNullException.ThrowIfNull(resize);
        Require(resize.DesiredVcpus is not 0, "desired_vcpus", "is 0");
        Require(resize.DesiredRam is not 0, "desired_ram", "is 0");
    }

    /// <inheritdoc cref="ThrowIfInvalid(VmResize)"/>
    public static void ThrowIfInvalid(VmResizeDisk resize)
    {
        ArgumentNullException.ThrowIfNull(resize);
        Require(
            resize.DesiredSize != 0 && resize.DesiredSize % SectorBytes == 0,
            "desired_size",
            $"{resize.DesiredSize} is no multiple of {SectorBytes}, or 0");
    }

    /// <inheritdoc cref="ThrowIfInvalid(VmResize)"/>
    public static void ThrowIfInvalid(VmSnapshotConfig snapshot)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        RequireFileUrl("destination_url", snapshot.DestinationUrl);
    }

    /// <inheritdoc cref="ThrowIfInvalid(VmResize)"/>
    public static void ThrowIfInvalid(VmCoredumpData coredump)
    {
        ArgumentNullException.ThrowIfNull(coredump);
        RequireFileUrl("destination_url", coredump.DestinationUrl);
    }

    /// <param name="descriptors">How many came along.</param>
    /// <inheritdoc cref="ThrowIfInvalid(VmResize)"/>
    public static void ThrowIfInvalid(RestoreConfig restore, int descriptors)
    {
        ArgumentNullException.ThrowIfNull(restore);
        RequireFileUrl("source_url", restore.SourceUrl);
        RequireDescriptors("net_fds", restore.ExpectedDescriptors, descriptors);
        Require(
            !restore.Prefault || restore.MemoryRestoreMode != MemoryRestoreMode.OnDemand,
            "prefault",
            "is not possible with memory_restore_mode OnDemand: it would load all memory at once");
    }

    /// <inheritdoc cref="ThrowIfInvalid(VmResize)"/>
    public static void ThrowIfInvalid(SendMigrationData send)
    {
        ArgumentNullException.ThrowIfNull(send);
        bool unix = RequireMigrationUrl("destination_url", send.DestinationUrl);
        Require(!send.Local || unix, "local", "needs a destination_url of the form unix:PATH");
        Require(!send.KeepSource || !send.Local, "keep_source", "is not possible with local: both processes have the same memory");
        Require(!send.PreserveSource || send.Local, "preserve_source", "needs local");
        Require(send.DowntimeMs > 0, "downtime_ms", "is 0");
        Require(send.TimeoutS > 0, "timeout_s", "is 0");
        Require(send.Connections is > 0 and <= MaxConnections, "connections", $"{send.Connections}; 1 to {MaxConnections} are possible");
        Require(send.Connections <= 1 || !unix, "connections", $"{send.Connections} are possible with tcp:HOST:PORT only");
        Require(
            send.DeltaCache == 0 || (!send.Local && send.Connections == 1),
            "delta_cache",
            "is possible with one connection and without local only");
        Require(
            send.DeltaCache is 0 or (>= MinDeltaCache and <= MaxDeltaCache),
            "delta_cache",
            $"{send.DeltaCache}; 0, or {MinDeltaCache} to {MaxDeltaCache} bytes are possible");
        RequireTls(send.TlsDir, send.TlsPeerName, unix);
        Require(!send.WithDisks || !send.Local, "with_disks", "is not needed with local: both processes see the same files");
        Require(
            send.MemoryMode == MigrationMode.Precopy || (!send.Local && send.Connections == 1),
            "memory_mode",
            "Postcopy is possible with one connection and without local only");
        Require(
            send.TimeoutStrategy != TimeoutStrategy.Postcopy || (!send.Local && send.Connections == 1),
            "timeout_strategy",
            "Postcopy is possible with one connection and without local only");
    }

    /// <param name="descriptors">How many came along.</param>
    /// <inheritdoc cref="ThrowIfInvalid(VmResize)"/>
    public static void ThrowIfInvalid(ReceiveMigrationData receive, int descriptors)
    {
        ArgumentNullException.ThrowIfNull(receive);
        bool unix = RequireMigrationUrl("receiver_url", receive.ReceiverUrl);
        RequireTls(receive.TlsDir, receive.TlsPeerName, unix);
        RequireDescriptors("vfio_fds", receive.ExpectedDescriptors, descriptors);
        var ids = new HashSet<string>(StringComparer.Ordinal);
        foreach (DiskPlacement disk in receive.Disks ?? [])
        {
            Require(disk.Id.Length > 0 && ids.Add(disk.Id), "disks", $"id '{disk.Id}' is empty or given twice");
            Require(disk.Path.Length > 0 && !disk.Path.Contains('\0'), "disks", $"{disk.Id}: '{disk.Path}' is no path");
        }
    }

    /// <inheritdoc cref="ThrowIfInvalid(VmResize)"/>
    public static void ThrowIfInvalid(MigrationSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        Require(settings.DowntimeMs is not 0, "downtime_ms", "is 0");
        Require(settings.TimeoutS is not 0, "timeout_s", "is 0");
    }

    private static void RequireFileUrl(string field, string url) => Require(
        url.StartsWith(FileScheme, StringComparison.Ordinal) && url.Length > FileScheme.Length && !url.Contains('\0'),
        field,
        $"'{url}' is not of the form file:///path");

    /// <summary>Returns whether it is a Unix socket's.</summary>
    private static bool RequireMigrationUrl(string field, string url)
    {
        bool isEndpoint = StreamEndpoint.TryParse(url, out StreamEndpoint? endpoint);
        Require(isEndpoint, field, $"'{url}' is neither tcp:HOST:PORT nor unix:PATH");
        return endpoint!.Path is not null;
    }

    private static void RequireTls(string? folder, string? peerName, bool unix)
    {
        Require(folder is null || !unix, "tls_dir", "is possible with tcp:HOST:PORT only");
        Require(folder is null || (folder.Length > 0 && !folder.Contains('\0')), "tls_dir", "is not a path");
        Require(peerName is null || folder is not null, "tls_peer_name", "needs tls_dir");
        Require(peerName is null || (peerName.Length > 0 && !peerName.Contains('\0')), "tls_peer_name", "is not a name");
    }

    private static void RequireDescriptors(string field, ulong expected, int came) => Require(
        expected == (ulong)came,
        field,
        $"{expected} descriptors are asked for and {came} came along with the request");

    private static void Require(bool holds, string field, string problem)
    {
        if (!holds)
        {
            throw new ConfigException(field, problem);
        }
    }
}
