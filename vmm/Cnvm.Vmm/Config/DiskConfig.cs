using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A virtio-blk device.</summary>
/// <param name="Path">Host path of the image or block device.</param>
/// <param name="Direct">O_DIRECT: the host's page cache is not used.</param>
/// <param name="Serial">What the guest reads as the disk's serial number; at most 20 bytes.</param>
/// <param name="QueueAffinity">Host CPUs for the threads of single queues.</param>
/// <param name="Sparse">Discarded ranges are given back to the host's file system.</param>
/// <param name="ImageType">Format of the image; <see cref="ImageType.Unknown"/> means found out from the file.</param>
/// <param name="LockGranularity">Whether the lock on the image covers its bytes or the whole file.</param>
public sealed record DiskConfig(
    string? Path = null,
    bool Readonly = false,
    bool Direct = false,
    ushort NumQueues = 1,
    ushort QueueSize = DiskConfig.DefaultQueueSize,
    bool VhostUser = false,
    string? VhostSocket = null,
    string? RateLimitGroup = null,
    RateLimiterConfig? RateLimiterConfig = null,
    string? Serial = null,
    IReadOnlyList<VirtQueueAffinity>? QueueAffinity = null,
    bool BackingFiles = false,
    bool Sparse = true,
    ImageType ImageType = ImageType.Unknown,
    LockGranularity LockGranularity = LockGranularity.ByteRange,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool DisableIoUring = false,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool DisableAio = false,
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null) : IPciDeviceConfig
{
    public const ushort DefaultQueueSize = 128;
}
