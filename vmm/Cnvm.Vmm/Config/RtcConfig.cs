using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The virtio clock device.</summary>
public sealed record RtcConfig(
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null) : IPciDeviceConfig;
