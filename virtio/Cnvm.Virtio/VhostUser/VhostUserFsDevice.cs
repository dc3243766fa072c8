using System.Buffers.Binary;
using System.Text;
using Cnvm.Devices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.VhostUser;

/// <summary>File system device (virtio 1.2 §5.11) that a vhost-user back end such as virtiofsd serves.</summary>
/// <remarks>
/// The FUSE session is the back end's. It cannot be carried to another one, so nothing is saved once the guest has used it, and a back
/// end that ends takes it along: requests fail until the guest has mounted the folder anew.
/// </remarks>
public sealed class VhostUserFsDevice : VhostUserDevice
{
    private static readonly VhostUserTraits Traits = new()
    {
        Features = VirtioFeatures.Version1 | VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors,
        ProtocolFeatures = VhostUserSpec.InflightSharedMemory,
        ConfigurationBytes = FsSpec.ConfigBytes,
        FinishesRequests = true,
        HasSession = true,

        // One for requests and one for urgent ones.
        PlainQueues = 2,
    };

    private readonly ILogger _logger;

    /// <param name="options">Its queues are those for requests and one more.</param>
    /// <param name="tag">What the guest mounts it by: 1 to 36 bytes.</param>
    /// <inheritdoc cref="VhostUserDevice(VhostUserOptions, VhostUserTraits, GuestMemory, ILogger)"/>
    public VhostUserFsDevice(VhostUserOptions options, string tag, GuestMemory memory, ILogger logger)
        : base(options, Traits, memory, logger)
    {
        _logger = logger;
        QueueSizes = [.. Enumerable.Repeat(options.QueueSize, options.QueueCount)];
        Encoding.UTF8.GetBytes(tag, Configuration.AsSpan(0, FsSpec.TagBytes));
        BinaryPrimitives.WriteUInt32LittleEndian(Configuration.AsSpan(FsSpec.ConfigNumRequestQueues), (uint)options.QueueCount - 1);
    }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.FileSystem;

    public override ulong Features => Offered;

    public override IReadOnlyList<ushort> QueueSizes { get; }

    public override string? SaveObstacle => HasServed
        ? "its FUSE session is in the vhost-user back end and cannot be saved; only one that the guest has never mounted can"
        : base.SaveObstacle;

    private protected override QueueWorker CreateRefusal(string name, QueueResources resources) =>
        new FsWorker(name, FuseRefusal.Answer, resources, _logger);

    private protected override void CheckConfiguration(VhostUserState saved)
    {
        if (!saved.Configuration.AsSpan(0, FsSpec.TagBytes).SequenceEqual(Configuration.AsSpan(0, FsSpec.TagBytes)))
        {
            throw new DeviceStateException(Id, nameof(saved.Configuration), "the folder had another tag");
        }
    }
}
