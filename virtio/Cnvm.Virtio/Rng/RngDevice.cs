using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Rng;

/// <summary>Entropy device (virtio 1.2 §5.4): fills every buffer with random bytes.</summary>
public sealed class RngDevice : VirtioDevice
{
    private const ushort QueueSize = 256;
    private readonly EntropySource _source;
    private readonly ILogger _logger;
    private RngWorker? _worker;
    private SplitQueue? _queue;

    /// <param name="id">Name in configuration and threads, <c>__rng</c> by convention.</param>
    /// <param name="sourcePath">Where the bytes come from; /dev/urandom is the kernel's generator.</param>
    /// <exception cref="LinuxException">The source cannot be opened.</exception>
    public RngDevice(string id, string sourcePath, ILogger logger)
        : base(id)
    {
        _source = new EntropySource(sourcePath);
        _logger = logger;
    }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.Entropy;

    public override ulong Features => VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors;

    public override IReadOnlyList<ushort> QueueSizes { get; } = [QueueSize];

    public override void ReadConfiguration(uint offset, Span<byte> data) => data.Clear();

    public override void StartQueue(int index, QueueResources resources)
    {
        ArgumentNullException.ThrowIfNull(resources);
        _queue = resources.Queue;
        _worker = new RngWorker(Id, resources, _source, _logger);
        _worker.Start();
    }

    public override QueueState? StopQueue(int index)
    {
        _worker?.Dispose();
        QueueState? state = _queue?.Save();
        _worker = null;
        _queue = null;
        return state;
    }

    public override void Reset()
    {
    }

    public override VirtioDeviceState Save() => new RngState();

    public override void Restore(VirtioDeviceState state) => Expect<RngState>(state);

    protected override void Dispose(bool disposing)
    {
        _worker?.Dispose();
        _source.Dispose();
        base.Dispose(disposing);
    }
}
