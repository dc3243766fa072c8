using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A device in another process, by vfio-user.</summary>
public sealed record UserDeviceConfig(
    [property: JsonRequired] string Socket = "",
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null) : IPciDeviceConfig;
