using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>The body of <c>vm.receive-migration</c>.</summary>
/// <param name="ReceiverUrl"><c>tcp:HOST:PORT</c> or <c>unix:PATH</c> to listen on.</param>
/// <param name="TlsDir">Directory with certificates and keys; null is without TLS.</param>
/// <param name="VfioFds">Whose the first descriptors of the request are, one each.</param>
/// <param name="IommufdFd">The last descriptor is the I/O MMU's; in JSON only that it is there means something.</param>
public sealed record ReceiveMigrationData(
    [property: JsonRequired] string ReceiverUrl = "",
    string? TlsDir = null,
    MigrationMode MemoryMode = MigrationMode.Precopy,
    IReadOnlyList<RestoredVfio>? VfioFds = null,
    int? IommufdFd = null,
    IReadOnlyList<MemoryZoneUpdate>? ZoneUpdates = null)
{
    /// <summary>Descriptors that must come along with the request.</summary>
    internal ulong ExpectedDescriptors => (ulong)(VfioFds?.Count ?? 0) + (IommufdFd is null ? 0UL : 1);
}
