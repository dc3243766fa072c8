using System.Buffers.Binary;
using Cnvm.Devices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio.Block;
using Microsoft.Extensions.Logging;
using Spec = Cnvm.Virtio.VhostUser.VhostUserSpec;

namespace Cnvm.Virtio.VhostUser;

/// <summary>Block device (virtio 1.2 §5.2) whose image a vhost-user back end has. The configuration space is the back end's.</summary>
public sealed class VhostUserBlockDevice : VhostUserDevice
{
    private static readonly VhostUserTraits Traits = new()
    {
        Features = VirtioFeatures.Version1 | VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors
            | BlockSpec.SizeMax | BlockSpec.SegMax | BlockSpec.Geometry | BlockSpec.ReadOnly | BlockSpec.BlockSize | BlockSpec.Flush
            | BlockSpec.Topology | BlockSpec.ConfigWce | BlockSpec.MultiQueue | BlockSpec.Discard | BlockSpec.WriteZeroes,
        ProtocolFeatures = Spec.Config | Spec.InflightSharedMemory,
        ConfigurationBytes = BlockSpec.ConfigBytes,
        ReadsConfiguration = true,
        FixedConfigurationBytes = sizeof(ulong),
        FinishesRequests = true,
        PlainQueues = 1,
    };

    /// <inheritdoc cref="VhostUserDevice(VhostUserOptions, VhostUserTraits, GuestMemory, ILogger)"/>
    public VhostUserBlockDevice(VhostUserOptions options, GuestMemory memory, ILogger logger)
        : base(options, Traits, memory, logger)
    {
        QueueSizes = [.. Enumerable.Repeat(options.QueueSize, options.QueueCount)];
        BinaryPrimitives.WriteUInt16LittleEndian(Configuration.AsSpan(BlockSpec.ConfigNumQueues), (ushort)options.QueueCount);
    }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.Block;

    // One queue is no reason for MQ, and more need it.
    public override ulong Features => QueueSizes.Count > 1 ? Offered | BlockSpec.MultiQueue : Offered & ~BlockSpec.MultiQueue;

    public override IReadOnlyList<ushort> QueueSizes { get; }

    /// <summary>Capacity in 512-byte sectors.</summary>
    internal ulong Sectors => BinaryPrimitives.ReadUInt64LittleEndian(Configuration);

    public override void WriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
        // §5.2.5: the cache mode is all that a driver may write.
        if (offset == BlockSpec.ConfigWriteBack && data.Length == 1 && (Accepted & BlockSpec.ConfigWce) != 0)
        {
            SetWriteBack((byte)(data[0] & 1));
        }
    }

    public override void Restore(VirtioDeviceState state)
    {
        base.Restore(state);
        if ((Accepted & BlockSpec.ConfigWce) != 0)
        {
            SetWriteBack((byte)(((VhostUserState)state).Configuration[BlockSpec.ConfigWriteBack] & 1));
        }
    }

    private protected override void OnSetUp(VhostUserBackend backend)
    {
        if ((Accepted & BlockSpec.ConfigWce) != 0)
        {
            backend.WriteConfiguration(BlockSpec.ConfigWriteBack, Configuration.AsSpan(BlockSpec.ConfigWriteBack, 1));
        }
    }

    private protected override void CheckConfiguration(VhostUserState saved)
    {
        ulong sectors = BinaryPrimitives.ReadUInt64LittleEndian(saved.Configuration);
        if (sectors != Sectors)
        {
            throw new DeviceStateException(Id, nameof(saved.Configuration), $"the disk had {sectors} sectors and has {Sectors} now");
        }
    }

    private void SetWriteBack(byte value)
    {
        if (Configuration[BlockSpec.ConfigWriteBack] != value)
        {
            Configuration[BlockSpec.ConfigWriteBack] = value;
            Attempt("write the configuration", OnSetUp);
        }
    }
}
