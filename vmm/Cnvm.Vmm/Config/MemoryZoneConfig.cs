using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A part of guest RAM with a backing of its own; sizes in bytes. Zones follow each other in guest memory.</summary>
/// <param name="File">File or directory that backs the zone; anonymous memory if null.</param>
public sealed record MemoryZoneConfig(
    [property: JsonRequired] string Id = "",
    [property: JsonRequired] ulong Size = 0,
    string? File = null,
    bool Shared = false,
    bool Hugepages = false,
    ulong? HugepageSize = null,
    uint? HostNumaNode = null,
    ulong? HotplugSize = null,
    ulong? HotpluggedSize = null,
    bool Prefault = false,
    bool Reserve = false,
    bool Mergeable = false);
