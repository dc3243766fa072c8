using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A virtio-fs device: a folder that the VMM serves itself, or one that a vhost-user daemon serves.</summary>
/// <param name="Tag">What the guest mounts it by.</param>
/// <param name="Socket">Socket of the daemon, as with Cloud Hypervisor, in place of <paramref name="Path"/>; it needs shared memory.</param>
/// <param name="NumQueues">Request queues, each with a thread.</param>
/// <param name="Path">Folder of the host that the VMM serves; cnvm's own addition, as are the next two.</param>
/// <param name="Readonly">The guest changes nothing.</param>
/// <param name="Locks">Locks of the guest and of the host's processes exclude each other. cnvm's own addition.</param>
/// <param name="UidMap">Users that have other numbers on the host; null if all have the same. cnvm's own addition, as is the next.</param>
public sealed record FsConfig(
    [property: JsonRequired] string Tag = "",
    string? Socket = null,
    ushort NumQueues = 1,
    ushort QueueSize = FsConfig.DefaultQueueSize,
    string? Path = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Readonly = false,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] FsCache Cache = FsCache.Auto,
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<IdRangeConfig>? UidMap = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<IdRangeConfig>? GidMap = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Locks = false) : IPciDeviceConfig
{
    public const ushort DefaultQueueSize = 1024;
}
