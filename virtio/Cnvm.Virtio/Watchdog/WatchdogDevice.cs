using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Watchdog;

/// <summary>
/// Watchdog as Cloud Hypervisor has it (device id 35, which the virtio specification reserves without describing a device): the driver
/// gives a buffer at least every 15 seconds and gets it back with a 1 in its first byte. Once it has begun, a machine that stops doing so is
/// reset. Time stands still while the machine is paused.
/// </summary>
public sealed class WatchdogDevice : VirtioDevice
{
    private const ushort QueueSize = 8;
    private readonly ILogger _logger;
    private readonly Action _onExpired;
    private readonly TimeSpan _timeout;
    private WatchdogWorker? _worker;
    private SplitQueue? _queue;
    private bool _isArmed;

    /// <param name="id">Name in configuration and threads, <c>__watchdog</c> by convention.</param>
    /// <param name="onExpired">Called on the device's thread when the guest has been silent for too long; must not block.</param>
    /// <param name="timeout">How long that is; null: 20 seconds, as drivers expect.</param>
    public WatchdogDevice(string id, Action onExpired, ILogger logger, TimeSpan? timeout = null)
        : base(id)
    {
        ArgumentNullException.ThrowIfNull(onExpired);
        _onExpired = onExpired;
        _logger = logger;
        _timeout = timeout ?? TimeSpan.FromSeconds(20);
    }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.Watchdog;

    public override ulong Features => VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors;

    public override IReadOnlyList<ushort> QueueSizes { get; } = [QueueSize];

    public override void ReadConfiguration(uint offset, Span<byte> data) => data.Clear();

    public override void StartQueue(int index, QueueResources resources)
    {
        ArgumentNullException.ThrowIfNull(resources);
        _queue = resources.Queue;
        _worker = new WatchdogWorker(Id, resources, _timeout, _isArmed, _onExpired, _logger);
        _worker.Start();
    }

    public override QueueState? StopQueue(int index)
    {
        if (_worker is { } worker)
        {
            worker.Dispose();
            _isArmed = worker.IsArmed;
        }

        QueueState? state = _queue?.Save();
        _worker = null;
        _queue = null;
        return state;
    }

    public override void Reset() => _isArmed = false;

    public override VirtioDeviceState Save() => new WatchdogState { IsArmed = _isArmed };

    public override void Restore(VirtioDeviceState state) => _isArmed = Expect<WatchdogState>(state).IsArmed;

    protected override void Dispose(bool disposing)
    {
        _worker?.Dispose();
        base.Dispose(disposing);
    }
}
