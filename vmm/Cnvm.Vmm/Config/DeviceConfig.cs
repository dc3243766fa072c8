using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A host PCI device passed through by VFIO.</summary>
public sealed record DeviceConfig(
    string? Path = null,
    int? Fd = null,
    sbyte? XNvGpudirectClique = null,
    IReadOnlyList<ulong>? XExcludeMmapBars = null,
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null) : IPciDeviceConfig;
