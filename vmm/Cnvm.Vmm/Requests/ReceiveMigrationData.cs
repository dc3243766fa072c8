using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>The body of <c>vm.receive-migration</c>.</summary>
/// <param name="ReceiverUrl"><c>tcp:HOST:PORT</c> or <c>unix:PATH</c> to listen on.</param>
/// <param name="TlsDir">Directory with ca-cert.pem, server-cert.pem and server-key.pem; null is without TLS.</param>
/// <param name="TlsPeerName">Name that the source's certificate must be for; null for any of the authority's. cnvm's own.</param>
/// <param name="VfioFds">Whose the first descriptors of the request are, one each.</param>
/// <param name="IommufdFd">The last descriptor is the I/O MMU's; in JSON only that it is there means something.</param>
/// <param name="Disks">Where disks are here, if not where the source has them. cnvm's own.</param>
public sealed record ReceiveMigrationData(
    [property: JsonRequired] string ReceiverUrl = "",
    string? TlsDir = null,
    MigrationMode MemoryMode = MigrationMode.Precopy,
    IReadOnlyList<RestoredVfio>? VfioFds = null,
    int? IommufdFd = null,
    IReadOnlyList<MemoryZoneUpdate>? ZoneUpdates = null,
    IReadOnlyList<DiskPlacement>? Disks = null,
    string? TlsPeerName = null)
{
    /// <summary>Descriptors that must come along with the request.</summary>
    internal ulong ExpectedDescriptors => (ulong)(VfioFds?.Count ?? 0) + (IommufdFd is null ? 0UL : 1);
}
