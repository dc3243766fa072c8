using System.Buffers.Binary;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Vsock;

/// <summary>
/// Socket device (virtio 1.2 §5.10) between guest ports and Unix sockets of the host, in the manner of Firecracker and Cloud
/// Hypervisor: a host program writes <c>CONNECT port</c> to the device's socket and reads <c>OK port</c>; the guest's connection to a
/// port of the host arrives at a socket named after it. One thread serves everything.
/// </summary>
public sealed class VsockDevice : VirtioDevice
{
    private readonly VsockWorker _worker;
    private readonly uint _cid;
    private readonly byte[] _config = new byte[VsockSpec.ConfigBytes];
    private readonly QueueResources?[] _queues = new QueueResources?[VsockSpec.QueueCount];
    private bool _isActive;

    /// <exception cref="LinuxException">The socket cannot be made.</exception>
    public VsockDevice(VsockOptions options, ILogger logger)
        : base((options ?? throw new ArgumentNullException(nameof(options))).Id)
    {
        _cid = options.Cid;
        BinaryPrimitives.WriteUInt64LittleEndian(_config, _cid);
        _worker = new VsockWorker(options, logger);
    }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.Socket;

    public override ulong Features => VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors;

    public override IReadOnlyList<ushort> QueueSizes { get; } = [VsockSpec.QueueSize, VsockSpec.QueueSize, VsockSpec.QueueSize];

    /// <summary>What has passed so far.</summary>
    public VsockCounters Counters => _worker.Counters;

    public override void ReadConfiguration(uint offset, Span<byte> data) => CopyConfiguration(_config, offset, data);

    public override void Activate(ulong features) => _isActive = true;

    public override void StartQueue(int index, QueueResources resources)
    {
        ArgumentNullException.ThrowIfNull(resources);
        _worker.Stop();
        _queues[index] = resources;
        _worker.SetQueue(index, resources);
        _worker.Start();
    }

    public override QueueState? StopQueue(int index)
    {
        if (_queues[index] is not { } resources)
        {
            return null;
        }

        _worker.Stop();
        _queues[index] = null;
        _worker.SetQueue(index, null);
        if (_queues[VsockSpec.ReceiveQueue] is not null && _queues[VsockSpec.TransmitQueue] is not null)
        {
            _worker.Start();
        }

        return resources.Queue.Save();
    }

    public override void Reset()
    {
        _isActive = false;
        _worker.CloseAll();
    }

    public override VirtioDeviceState Save() => new VsockState { Cid = _cid };

    public override void Restore(VirtioDeviceState state)
    {
        Expect<VsockState>(state);

        // The driver's connections ended with the process that had them; it reads the context id again with this event (§5.10.6.7).
        _worker.MustAnnounceReset = _isActive;
    }

    protected override void Dispose(bool disposing)
    {
        _worker.Dispose();
        base.Dispose(disposing);
    }
}
