using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A vDPA device.</summary>
public sealed record VdpaConfig(
    [property: JsonRequired] string Path = "",
    ushort NumQueues = 1,
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null) : IPciDeviceConfig;
