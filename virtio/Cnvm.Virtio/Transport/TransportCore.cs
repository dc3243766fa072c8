using Cnvm.Devices.Bus;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.VhostUser;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Transport;

/// <summary>
/// What the transports have in common: device status, feature negotiation, queue registers, and the life of the queues
/// (virtio 1.2 §2, §3.1). Any thread: one lock serialises the registers. Device workers come in through
/// <see cref="IVirtioInterrupts"/> without it, as the lock is held while they are stopped.
/// </summary>
internal sealed partial class TransportCore : IVirtioInterrupts, IDisposable
{
    // Configuration.
    private readonly VirtioDevice _device;
    private readonly GuestMemory _memory;
    private readonly ITransportSignals _signals;
    private readonly ILogger _logger;
    private readonly LogRateLimit _faultLimit = new();
    private readonly TransportQueue[] _queues;
    private readonly Lock _lock = new();
    private readonly ulong _offered;

    // Volatile state.
    private int _status;
    private uint _generation;
    private ulong _driverFeatures;
    private uint _deviceFeatureSelect;
    private uint _driverFeatureSelect;
    private ushort _queueSelect;
    private bool _paused;

    public TransportCore(VirtioDevice device, GuestMemory memory, ITransportSignals signals, ILogger logger)
    {
        _device = device;
        _memory = memory;
        _signals = signals;
        _logger = logger;
        _offered = device.Features | VirtioFeatures.Version1;
        _queues = [.. device.QueueSizes.Select(size => new TransportQueue(size, device.SharesDoorbells))];
        device.Attach(this);
    }

    public VirtioDevice Device => _device;

    public int QueueCount => _queues.Length;

    public byte Status => (byte)Volatile.Read(ref _status);

    public uint ConfigGeneration => Volatile.Read(ref _generation);

    public uint DeviceFeatureSelect
    {
        get => _deviceFeatureSelect;
        set => _deviceFeatureSelect = value;
    }

    public uint DriverFeatureSelect
    {
        get => _driverFeatureSelect;
        set => _driverFeatureSelect = value;
    }

    public ushort QueueSelect
    {
        get => _queueSelect;
        set => _queueSelect = value;
    }

    /// <summary>The offered features' half that <see cref="DeviceFeatureSelect"/> names.</summary>
    public uint DeviceFeatures => Half(_offered, _deviceFeatureSelect);

    /// <summary>The accepted features' half that <see cref="DriverFeatureSelect"/> names.</summary>
    public uint DriverFeatures
    {
        get => Half(_driverFeatures, _driverFeatureSelect);
        set
        {
            lock (_lock)
            {
                // §3.1.1: after FEATURES_OK the set is closed.
                uint half = _driverFeatureSelect;
                if ((_status & DeviceStatus.FeaturesOk) == 0 && half < 2)
                {
                    int shift = (int)half * 32;
                    _driverFeatures = (_driverFeatures & ~(0xffff_ffffUL << shift)) | ((ulong)value << shift);
                }
            }
        }
    }

    /// <summary>State of the selected queue; null when there is no such queue.</summary>
    public QueueState? SelectedQueue => Selected?.State;

    /// <summary>Largest size of the selected queue; 0 when there is no such queue.</summary>
    public ushort SelectedMaxSize => Selected?.MaxSize ?? 0;

    private TransportQueue? Selected
    {
        get
        {
            // One read: another vCPU may change the selector at any time.
            int index = _queueSelect;
            return index < _queues.Length ? _queues[index] : null;
        }
    }

    public EventFd Doorbell(int queue) => _queues[queue].Notify;

    /// <summary>The driver's notification, where no doorbell took it.</summary>
    public void Notify(uint queue)
    {
        if (queue < _queues.Length)
        {
            _queues[queue].Notify.Signal();
        }
    }

    /// <summary>Changes the selected queue's layout, as long as the queue is not enabled.</summary>
    public void ConfigureQueue(Func<QueueState, ulong, QueueState> change, ulong value)
    {
        lock (_lock)
        {
            if (Selected is { State.Enabled: false } queue)
            {
                queue.State = change(queue.State, value);
            }
        }
    }

    /// <summary>Enables the selected queue; it starts with DRIVER_OK, or now if that has come.</summary>
    public void EnableQueue()
    {
        lock (_lock)
        {
            if (Selected is { State.Enabled: false } queue)
            {
                queue.State = queue.State with { Enabled = true };
                if ((_status & DeviceStatus.DriverOk) != 0 && !_paused)
                {
                    _device.BeginSeries();
                    StartQueue(Array.IndexOf(_queues, queue));
                }
            }
        }
    }

    /// <summary>MMIO: QueueReady = 0 takes the queue back (§4.2.2.2).</summary>
    public void DisableQueue()
    {
        lock (_lock)
        {
            if (Selected is { State.Enabled: true } queue)
            {
                _device.BeginSeries();
                StopQueue(Array.IndexOf(_queues, queue));
                queue.State = queue.State with { Enabled = false, NextAvail = 0, NextUsed = 0 };
            }
        }
    }

    /// <summary>The driver's write to the device status register.</summary>
    public void WriteStatus(byte value)
    {
        lock (_lock)
        {
            if (value == 0)
            {
                ResetLocked();
                return;
            }

            // §2.1.1: bits are only ever added, other than by a reset.
            int added = value & DeviceStatus.Driven & ~_status;
            if ((added & DeviceStatus.FeaturesOk) != 0 && !AreFeaturesAcceptable())
            {
                // §2.2.2: FEATURES_OK stays clear, which tells the driver so.
                added &= ~DeviceStatus.FeaturesOk;
            }

            if ((added & DeviceStatus.DriverOk) != 0 && ((_status | added) & DeviceStatus.FeaturesOk) == 0)
            {
                added &= ~DeviceStatus.DriverOk;
            }

            Interlocked.Or(ref _status, added);
            if ((added & DeviceStatus.DriverOk) != 0)
            {
                _device.Activate(_driverFeatures);
                if (!_paused)
                {
                    StartQueues();
                }

                _device.ActivityChanged?.Invoke(true);
            }
        }
    }

    public void ReadConfiguration(uint offset, Span<byte> data) => _device.ReadConfiguration(offset, data);

    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
        lock (_lock)
        {
            _device.WriteConfiguration(offset, data);
        }
    }

    public void Reset()
    {
        lock (_lock)
        {
            ResetLocked();
            _deviceFeatureSelect = 0;
            _driverFeatureSelect = 0;
            _queueSelect = 0;
        }
    }

    /// <summary>Stops every queue; requests in flight are finished first.</summary>
    public void Pause()
    {
        lock (_lock)
        {
            _paused = true;
            _device.BeginSeries();
            for (int i = 0; i < _queues.Length; i++)
            {
                StopQueue(i);
            }
        }
    }

    /// <summary>
    /// Waits until all memory is here that <see cref="Resume"/> looks at, where rings of a guest still come from elsewhere. Only while paused.
    /// </summary>
    /// <exception cref="IOException">It will not come.</exception>
    public void AwaitRings()
    {
        for (int i = 0; i < _queues.Length; i++)
        {
            if (_queues[i].State is { Enabled: true } layout)
            {
                // A bad layout is said when the queue starts.
                _ = SplitQueue.TryCreate(_memory, layout, i, _driverFeatures, this, out _, out _);
            }
        }
    }

    /// <summary>Lets the queues go on after <see cref="Pause"/> or <see cref="Restore"/>.</summary>
    public void Resume()
    {
        lock (_lock)
        {
            _paused = false;
            if ((_status & (DeviceStatus.DriverOk | DeviceStatus.NeedsReset)) == DeviceStatus.DriverOk)
            {
                StartQueues();
            }
        }
    }

    public void SignalQueue(int queue) => _signals.SignalQueue(queue);

    public void SignalConfiguration()
    {
        Interlocked.Increment(ref _generation);
        _signals.SignalConfiguration();
    }

    public void QueueBroken(int queue, string reason)
    {
        if (_faultLimit.TryTake(out long suppressed))
        {
            LogBroken(_logger, _device.Id, queue, reason, suppressed);
        }

        int old = Interlocked.Or(ref _status, DeviceStatus.NeedsReset);
        if ((old & DeviceStatus.DriverOk) != 0)
        {
            // §2.1.2: the device notifies the driver of DEVICE_NEEDS_RESET once DRIVER_OK is set.
            _signals.SignalConfiguration();
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _device.BeginSeries();
            for (int i = 0; i < _queues.Length; i++)
            {
                StopQueue(i);
            }
        }

        _device.Dispose();
        foreach (TransportQueue queue in _queues)
        {
            queue.Dispose();
        }
    }

    private static uint Half(ulong features, uint select) => select < 2 ? (uint)(features >> ((int)select * 32)) : 0;

    private bool AreFeaturesAcceptable() => (_driverFeatures & ~_offered) == 0 && (_driverFeatures & VirtioFeatures.Version1) != 0;

    private void ResetLocked()
    {
        bool wasActive = (_status & DeviceStatus.DriverOk) != 0;
        _device.BeginSeries();
        for (int i = 0; i < _queues.Length; i++)
        {
            StopQueue(i);
            _queues[i].Reset();
        }

        if (wasActive)
        {
            _device.Reset();
            _device.ActivityChanged?.Invoke(false);
        }

        _driverFeatures = 0;
        Interlocked.Exchange(ref _status, 0);
    }

    private void StartQueues()
    {
        _device.BeginSeries();
        for (int i = 0; i < _queues.Length; i++)
        {
            StartQueue(i);
        }
    }

    private void StartQueue(int index)
    {
        TransportQueue queue = _queues[index];
        if (!queue.State.Enabled || queue.IsRunning)
        {
            return;
        }

        if (queue.State.Size > queue.MaxSize)
        {
            QueueBroken(index, "the queue is larger than the device allows");
            return;
        }

        if (!SplitQueue.TryCreate(_memory, queue.State, index, _driverFeatures, this, out SplitQueue? split, out string? error))
        {
            QueueBroken(index, error);
            return;
        }

        try
        {
            _device.StartQueue(index, new QueueResources(split, _memory, this, queue.Notify));
            queue.IsRunning = true;
        }
        catch (Exception e) when (e is LinuxException or VhostUserException)
        {
            LogStartFailed(_logger, e, _device.Id, index);
            QueueBroken(index, "the host could not start the queue");
        }
    }

    private void StopQueue(int index)
    {
        TransportQueue queue = _queues[index];
        if (queue.IsRunning)
        {
            queue.IsRunning = false;
            queue.State = _device.StopQueue(index) ?? queue.State;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Device}: queue {Queue} needs a reset: {Reason} ({Suppressed} like it not shown)")]
    private static partial void LogBroken(ILogger logger, string device, int queue, string reason, long suppressed);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Device}: queue {Queue} cannot start")]
    private static partial void LogStartFailed(ILogger logger, Exception exception, string device, int queue);
}
