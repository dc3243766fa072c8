using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A virtio persistent memory device; size in bytes.</summary>
public sealed record PmemConfig(
    [property: JsonRequired] string File = "",
    ulong? Size = null,
    bool DiscardWrites = false,
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null) : IPciDeviceConfig;
