using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A vhost-user device of any type.</summary>
public sealed record GenericVhostUserConfig(
    [property: JsonRequired] string Socket = "",
    IReadOnlyList<ushort>? QueueSizes = null,
    [property: JsonRequired] uint DeviceType = 0,
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null) : IPciDeviceConfig
{
    [JsonRequired]
    public IReadOnlyList<ushort> QueueSizes { get; init; } = QueueSizes ?? [];
}
