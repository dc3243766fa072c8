using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A virtio socket device: guest ports seen as Unix sockets of the host.</summary>
public sealed record VsockConfig(
    [property: JsonRequired] uint Cid = 0,
    [property: JsonRequired] string Socket = "",
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null) : IPciDeviceConfig;
