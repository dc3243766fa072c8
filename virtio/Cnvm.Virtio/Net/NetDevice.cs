using System.Buffers.Binary;
using System.Globalization;
using System.Net.NetworkInformation;
using System.Numerics;
using Cnvm.Devices;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Net;

/// <summary>
/// Network device (virtio 1.2 §5.1): a receive and a transmit queue for each pair of the back end, and a control queue, each
/// with its thread. Owns the back end.
/// </summary>
public sealed partial class NetDevice : VirtioDevice, INetControl
{
    private readonly INetBackend _backend;
    private readonly ILogger _logger;
    private readonly NetOptions _options;
    private readonly int _pairs;
    private readonly byte[] _config = new byte[NetSpec.ConfigBytes];
    private readonly QueueWorker?[] _workers;
    private readonly SplitQueue?[] _queues;
    private readonly FrameCounter[] _received;
    private readonly FrameCounter[] _sent;

    // The control worker changes these while the transport reads configuration and saves.
    private readonly Lock _lock = new();
    private ulong _negotiated;
    private ulong _guestOffloads;
    private int _activePairs = 1;
    private bool _isAnnouncing;

    // The driver of a restored machine knows the link as it was elsewhere.
    private bool _isLinkUntold;

    /// <exception cref="ArgumentException">The options make no sense.</exception>
    public NetDevice(NetOptions options, INetBackend backend, ILogger logger)
        : base((options ?? throw new ArgumentNullException(nameof(options))).Id)
    {
        ArgumentNullException.ThrowIfNull(backend);
        if (options.QueueSize is < 4 or > SplitRing.MaxQueueSize || !BitOperations.IsPow2((uint)options.QueueSize))
        {
            throw new ArgumentException(
                $"{options.Id}: queue size {options.QueueSize} is not a power of two from 4 to 32768", nameof(options));
        }

        if (options.Mtu < NetSpec.MinMtu)
        {
            throw new ArgumentException($"{options.Id}: an MTU of {options.Mtu} is less than {NetSpec.MinMtu}", nameof(options));
        }

        Mac = options.Mac ?? RandomMac();
        if (Mac.GetAddressBytes() is not { Length: 6 } mac || (mac[0] & 1) != 0)
        {
            throw new ArgumentException($"{options.Id}: {Mac} is not the MAC address of one station", nameof(options));
        }

        _options = options;
        _backend = backend;
        _logger = logger;
        _pairs = backend.QueueCount;
        QueueSizes = [.. Enumerable.Repeat(options.QueueSize, 2 * _pairs), NetSpec.ControlQueueSize];
        _workers = new QueueWorker?[QueueSizes.Count];
        _queues = new SplitQueue?[QueueSizes.Count];
        _received = [.. Enumerable.Range(0, _pairs).Select(_ => new FrameCounter())];
        _sent = [.. Enumerable.Range(0, _pairs).Select(_ => new FrameCounter())];
        mac.CopyTo(_config, 0);
        BinaryPrimitives.WriteUInt16LittleEndian(_config.AsSpan(NetSpec.ConfigMaxPairs), (ushort)_pairs);
        BinaryPrimitives.WriteUInt16LittleEndian(_config.AsSpan(NetSpec.ConfigMtu), options.Mtu ?? 0);
        backend.ConnectionChanged = OnConnectionChanged;
        UpdateStatus();
    }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.Net;

    /// <summary>The guest's MAC address.</summary>
    public PhysicalAddress Mac { get; }

    public override ulong Features
    {
        get
        {
            ulong features = VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors
                | NetSpec.Mac | NetSpec.Status | NetSpec.CtrlQueue | NetSpec.GuestAnnounce | NetSpec.CtrlGuestOffloads
                | (_pairs > 1 ? NetSpec.MultiQueue : 0)
                | (_options.Mtu is null ? 0 : NetSpec.Mtu);
            TapOffloads backend = _backend.SupportedOffloads;
            if (!_options.OffloadChecksum || (backend & TapOffloads.Checksum) == 0)
            {
                return features;
            }

            features |= NetSpec.Checksum | NetSpec.GuestChecksum;
            if (_options.OffloadTso && (backend & TapOffloads.Tso4) != 0)
            {
                features |= NetSpec.HostTso4 | NetSpec.HostTso6 | NetSpec.HostEcn
                    | NetSpec.GuestTso4 | NetSpec.GuestTso6 | NetSpec.GuestEcn;
            }

            return _options.OffloadUfo && (backend & TapOffloads.Ufo) != 0 ? features | NetSpec.HostUfo | NetSpec.GuestUfo : features;
        }
    }

    public override IReadOnlyList<ushort> QueueSizes { get; }

    /// <summary>What has passed, over all queues.</summary>
    public NetCounters Counters
    {
        get
        {
            NetCounters sum = default;
            for (int i = 0; i < _pairs; i++)
            {
                sum = new NetCounters(
                    sum.RxBytes + _received[i].Bytes,
                    sum.RxFrames + _received[i].Frames,
                    sum.TxBytes + _sent[i].Bytes,
                    sum.TxFrames + _sent[i].Frames);
            }

            return sum;
        }
    }

    /// <summary>How often frames had to wait for the limits; null without any.</summary>
    public ulong? RateLimiterWaits => _options.ReceiveLimiter is null && _options.TransmitLimiter is null
        ? null
        : (_options.ReceiveLimiter?.Waits ?? 0) + (_options.TransmitLimiter?.Waits ?? 0);

    /// <summary>Whether the other end is there; null if it always is.</summary>
    public NetConnection? Connection => _backend.MayDisconnect ? new NetConnection(_backend.IsConnected, _backend.Reconnects) : null;

    // §5.1.2: the control queue follows the pairs that can be used, and without MQ that is one pair.
    private int ControlQueue => (_negotiated & NetSpec.MultiQueue) != 0 ? 2 * _pairs : 2;

    /// <summary>A random unicast address from the locally administered ones.</summary>
    public static PhysicalAddress RandomMac()
    {
        // The cryptographic generator would load OpenSSL: 4 MiB of resident memory for six bytes.
        byte[] mac = new byte[6];
        Random.Shared.NextBytes(mac);
        mac[0] = (byte)((mac[0] & 0xfe) | 2);
        return new PhysicalAddress(mac);
    }

    /// <summary>Asks the driver to tell the network where it is now (after a migration). Any thread.</summary>
    public void Announce()
    {
        lock (_lock)
        {
            if ((_negotiated & NetSpec.GuestAnnounce) == 0)
            {
                return;
            }

            _isAnnouncing = true;
            UpdateStatus();
        }

        Interrupts?.SignalConfiguration();
    }

    public override void ReadConfiguration(uint offset, Span<byte> data)
    {
        lock (_lock)
        {
            CopyConfiguration(_config, offset, data);
        }
    }

    public override void Activate(ulong features)
    {
        lock (_lock)
        {
            _negotiated = features;
            _activePairs = 1;
        }

        _ = TrySetGuestOffloads(features & NetSpec.GuestOffloads);
    }

    public override void StartQueue(int index, QueueResources resources)
    {
        ArgumentNullException.ThrowIfNull(resources);
        bool isLinkUntold;
        lock (_lock)
        {
            isLinkUntold = _isLinkUntold;
            _isLinkUntold = false;

            // Under the lock: a change of the active pairs reaches the worker either before it is made or after.
            _workers[index] = CreateWorker(index, resources);
            _queues[index] = resources.Queue;
            _workers[index]?.Start();
        }

        if (isLinkUntold)
        {
            Interrupts?.SignalConfiguration();
        }
    }

    public override QueueState? StopQueue(int index)
    {
        QueueWorker? worker = _workers[index];
        lock (_lock)
        {
            _workers[index] = null;
        }

        worker?.Dispose();
        QueueState? state = _queues[index]?.Save();
        _queues[index] = null;
        return state;
    }

    public override void Reset()
    {
        lock (_lock)
        {
            _negotiated = 0;
            _activePairs = 1;
            _isAnnouncing = false;
            _isLinkUntold = false;
            UpdateStatus();
        }

        _ = TrySetGuestOffloads(0);
    }

    public override VirtioDeviceState Save()
    {
        lock (_lock)
        {
            return new NetState { ActivePairs = _activePairs, GuestOffloads = _guestOffloads, IsAnnouncing = _isAnnouncing };
        }
    }

    public override void Restore(VirtioDeviceState state)
    {
        NetState saved = Expect<NetState>(state);
        if (saved.ActivePairs < 1 || saved.ActivePairs > _pairs)
        {
            throw new DeviceStateException(
                Id, nameof(NetState.ActivePairs), $"the driver uses {saved.ActivePairs} queue pairs of {_pairs}");
        }

        if (!TrySetGuestOffloads(saved.GuestOffloads))
        {
            throw new DeviceStateException(Id, nameof(NetState.GuestOffloads), $"the back end refuses 0x{saved.GuestOffloads:x}");
        }

        lock (_lock)
        {
            _activePairs = saved.ActivePairs;
            _isAnnouncing = saved.IsAnnouncing;
            _isLinkUntold = _backend.MayDisconnect;
            UpdateStatus();
        }
    }

    void INetControl.AcknowledgeAnnouncement()
    {
        lock (_lock)
        {
            _isAnnouncing = false;
            UpdateStatus();
        }
    }

    bool INetControl.TrySetActivePairs(int pairs)
    {
        lock (_lock)
        {
            if ((_negotiated & NetSpec.MultiQueue) == 0 || pairs < 1 || pairs > _pairs)
            {
                return false;
            }

            _activePairs = pairs;
            for (int i = 0; i < _pairs; i++)
            {
                (_workers[2 * i] as ReceiveWorker)?.SetActive(i < pairs);
            }

            return true;
        }
    }

    bool INetControl.TrySetGuestOffloads(ulong offloads) => TrySetGuestOffloads(offloads);

    private bool TrySetGuestOffloads(ulong offloads)
    {
        lock (_lock)
        {
            TapOffloads backend =
                ((offloads & NetSpec.GuestChecksum) != 0 ? TapOffloads.Checksum : 0)
                | ((offloads & NetSpec.GuestTso4) != 0 ? TapOffloads.Tso4 : 0)
                | ((offloads & NetSpec.GuestTso6) != 0 ? TapOffloads.Tso6 : 0)
                | ((offloads & NetSpec.GuestEcn) != 0 ? TapOffloads.TsoEcn : 0)
                | ((offloads & NetSpec.GuestUfo) != 0 ? TapOffloads.Ufo : 0);
            if ((offloads & ~(_negotiated & NetSpec.GuestOffloads)) != 0 || !_backend.TrySetOffloads(backend))
            {
                return false;
            }

            _guestOffloads = offloads;
            return true;
        }
    }

    protected override void Dispose(bool disposing)
    {
        foreach (QueueWorker? worker in _workers)
        {
            worker?.Dispose();
        }

        _backend.Dispose();
        base.Dispose(disposing);
    }

    private QueueWorker? CreateWorker(int index, QueueResources resources)
    {
        if (index > ControlQueue)
        {
            // Without MQ the driver has no use for further queues; one that enables them gets no service there.
            return null;
        }

        if (index == ControlQueue)
        {
            return new ControlWorker($"{Id}_ctrl", this, resources, _logger);
        }

        int pair = index / 2;
        return index % 2 == 0
            ? new ReceiveWorker(Name("rx", pair), resources, _backend, pair, pair < _activePairs, _received[pair], _options.ReceiveLimiter, _logger)
            : new TransmitWorker(Name("tx", pair), resources, _backend, pair, _sent[pair], _options.TransmitLimiter, _logger);
    }

    private string Name(string direction, int pair) => string.Create(CultureInfo.InvariantCulture, $"{Id}_{direction}{pair}");

    private void UpdateStatus() => BinaryPrimitives.WriteUInt16LittleEndian(
        _config.AsSpan(NetSpec.ConfigStatus),
        (ushort)((_backend.IsConnected ? NetSpec.StatusLinkUp : 0) | (_isAnnouncing ? NetSpec.StatusAnnounce : 0)));
}
