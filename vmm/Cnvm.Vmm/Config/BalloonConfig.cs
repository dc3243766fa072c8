using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The virtio balloon; size in bytes.</summary>
public sealed record BalloonConfig(
    [property: JsonRequired] ulong Size = 0,
    bool DeflateOnOom = false,
    bool FreePageReporting = false,
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null) : IPciDeviceConfig;
