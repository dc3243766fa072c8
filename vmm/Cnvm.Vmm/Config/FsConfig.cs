using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A virtio-fs device, served by a vhost-user daemon.</summary>
public sealed record FsConfig(
    [property: JsonRequired] string Tag = "",
    [property: JsonRequired] string Socket = "",
    ushort NumQueues = 1,
    ushort QueueSize = FsConfig.DefaultQueueSize,
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null) : IPciDeviceConfig
{
    public const ushort DefaultQueueSize = 1024;
}
