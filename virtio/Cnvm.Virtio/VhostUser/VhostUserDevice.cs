using System.Numerics;
using Cnvm.Devices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Linux.Vhost;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;
using Spec = Cnvm.Virtio.VhostUser.VhostUserSpec;

namespace Cnvm.Virtio.VhostUser;

/// <summary>
/// A virtio device whose queues another process serves, by the vhost-user protocol. Doorbells go straight to the back end, its calls come
/// back through a relay. What the back end does wrong costs the connection to it, never more.
/// </summary>
/// <remarks>
/// One lock orders everything that talks to the back end: the transport's calls, the relay's, and those of whoever tracks dirty memory.
/// It is held while the back end is waited for, so each step has a limit in time.
/// </remarks>
public abstract partial class VhostUserDevice : VirtioDevice, IDeviceWriteLog
{
    private const ulong LogAll = 1UL << VhostAbi.VHOST_F_LOG_ALL;

    // The driver may not want an interrupt for what is waited for: then the index is looked at so often.
    private static readonly TimeSpan FinishTick = TimeSpan.FromMilliseconds(5);

    private readonly VhostUserOptions _options;
    private readonly VhostUserTraits _traits;
    private readonly GuestMemory _memory;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private readonly EventFd[] _calls;
    private readonly VhostUserRing?[] _rings;
    private readonly AutoResetEvent _called = new(initialState: false);
    private readonly VhostUserRelay _relay;
    private readonly UnixListener? _listener;

    private VhostUserBackend? _backend;
    private VhostUserInflight? _inflight;
    private VhostUserLog? _log;
    private bool _isLogging;
    private bool _isActive;
    private bool _isBroken;
    private bool _hasRelayFailed;
    private bool _isDisposed;
    private bool _hasUnfinished;
    private volatile bool _hasServed;
    private ulong _accepted;
    private long _finishUntil;
    private bool _hasStepBegun;
    private ulong _reconnects;
    private ulong _callCount;

    /// <param name="options">Where the back end is.</param>
    /// <param name="memory">Guest RAM that the back end can map.</param>
    /// <exception cref="ArgumentException">Queue count or size is out of range.</exception>
    /// <exception cref="VhostUserException">The back end is not there, or cannot serve such a device; or the memory is not shared.</exception>
    /// <exception cref="LinuxException">The host refused a descriptor.</exception>
    private protected VhostUserDevice(VhostUserOptions options, VhostUserTraits traits, GuestMemory memory, ILogger logger)
        : base((options ?? throw new ArgumentNullException(nameof(options))).Id)
    {
        if (options.QueueCount is < 1 or > Spec.MaxRings
            || options.QueueSize is < 2 or > SplitRing.MaxQueueSize || !BitOperations.IsPow2((uint)options.QueueSize))
        {
            throw new ArgumentException($"{options.Id}: {options.QueueCount} queues of {options.QueueSize} are not possible", nameof(options));
        }

        _options = options;
        _traits = traits;
        _memory = memory;
        _logger = logger;
        ThrowIfNotShared(memory);
        _calls = new EventFd[options.QueueCount];
        _rings = new VhostUserRing?[options.QueueCount];
        _refusals = new QueueWorker?[options.QueueCount];
        _refused = new SplitQueue?[options.QueueCount];
        try
        {
            for (int i = 0; i < _calls.Length; i++)
            {
                _calls[i] = new EventFd();
            }

            _relay = new VhostUserRelay($"{Id}_vhost", _calls, OnCall, OnSocket, TryReconnect, OnRelayFailed, logger);
            _listener = options.IsServer ? UnixListener.Bind(options.Socket, 1) : null;
            _backend = Greet(Wait());
            Offered = _backend.Features & traits.Features;
            Configuration = new byte[traits.ConfigurationBytes];
            CheckBackend(_backend, Configuration);
            _relay.WatchSocket(_backend.Fd);
            _relay.Start();
            memory.AddWriteLog(this);
        }
        catch
        {
            Release();
            throw;
        }
    }

    /// <inheritdoc/>
    public override bool SharesDoorbells => true;

    /// <summary>What is known of the back end. Any thread.</summary>
    public VhostUserCounters Counters
    {
        get
        {
            lock (_gate)
            {
                return new VhostUserCounters(_backend is not null, _reconnects, Volatile.Read(ref _callCount));
            }
        }
    }

    /// <summary>What of the back end's features is passed on to the driver.</summary>
    protected ulong Offered { get; }

    /// <summary>Where the driver's configuration space is kept.</summary>
    private protected byte[] Configuration { get; } = [];

    /// <summary>The back end has given something back since a driver took the device.</summary>
    private protected bool HasServed => _hasServed;

    /// <summary>What the driver has accepted.</summary>
    private protected ulong Accepted => _accepted;

    public override void ReadConfiguration(uint offset, Span<byte> data) => CopyConfiguration(Configuration, offset, data);

    public override void Activate(ulong features)
    {
        lock (_gate)
        {
            _accepted = features;
            _isActive = true;
            _isBroken = _hasRelayFailed;
            _hasUnfinished = false;
            if (_backend is not null)
            {
                Attempt("set up", backend => SetUp(backend));
            }
            else
            {
                _relay.RetryNow();
            }
        }
    }

    public override void BeginSeries()
    {
        lock (_gate)
        {
            _finishUntil = 0;
            _hasStepBegun = false;
        }
    }

    public override void StartQueue(int index, QueueResources resources)
    {
        ArgumentNullException.ThrowIfNull(resources);
        lock (_gate)
        {
            if (_isBroken)
            {
                throw new VhostUserException($"{Id}: the back end has gone, and nobody knows which requests it had done");
            }

            QueueState layout = resources.Queue.Save();
            _rings[index] = new VhostUserRing(resources.Memory, layout, resources.Notify);
            _hasUnfinished = false;
            AttemptInSeries("start a queue", backend => StartRing(backend, index, layout.NextAvail));
            if (_isSessionLost && _refusals[index] is null)
            {
                Refuse(index);
            }

            if (layout.NextUsed != layout.NextAvail || layout.NextUsed != 0)
            {
                // Whether the driver was told of what came last before a stop is not recorded.
                Interrupts?.SignalQueue(index);
            }
        }
    }

    public override QueueState? StopQueue(int index)
    {
        lock (_gate)
        {
            if (_rings[index] is not { } ring)
            {
                return null;
            }

            if (_traits.FinishesRequests && _backend is not null && !_isBroken)
            {
                AwaitRequests(ring);
            }

            // A back end that is not there any more has taken nothing from here on; what it had taken is done again, or refused.
            ushort? next = null;
            AttemptInSeries("stop a queue", backend => next = StopRing(backend, index, ring));
            next = StopRefusing(index) ?? next;
            _rings[index] = null;
            Interrupts?.SignalQueue(index);
            ushort used = ring.UsedIndex;
            if (_traits.FinishesRequests ? (next ?? ring.AvailIndex) != used : next is null)
            {
                // It may be done by another back end from a saved state, and by this one, or the one after it, as well.
                _hasUnfinished = true;
                if (_unfinishedLimit.TryTake(out long suppressed))
                {
                    LogUnfinished(_logger, Id, index, suppressed);
                }
            }

            // Also for a back end whose log has ended with the connection to it.
            _memory.MarkDirty(ring.Layout.UsedRing, SplitRing.UsedBytes(ring.Layout.Size));
            _hasServed |= used != 0;
            return ring.Layout with { NextAvail = next ?? used, NextUsed = used };
        }
    }

    public override void Reset()
    {
        lock (_gate)
        {
            _isActive = false;
            _isBroken = false;
            _hasUnfinished = false;
            _accepted = 0;
            _hasServed = false;
            Array.Clear(_rings);
            EndRefusal();
            _inflight?.Dispose();
            _inflight = null;
        }
    }

    /// <inheritdoc/>
    public override string? SaveObstacle
    {
        get
        {
            lock (_gate)
            {
                return !_isActive ? null
                    : _backend is null || _isBroken ? "its vhost-user back end is not there, so that nobody knows which requests it had done"
                    : _hasUnfinished ? "its vhost-user back end has not finished requests in time, or was not there to say so when the guest stopped"
                    : null;
            }
        }
    }

    public override VirtioDeviceState Save() => new VhostUserState { Configuration = [.. Configuration], ActivePairs = 0 };

    public override void Restore(VirtioDeviceState state)
    {
        VhostUserState saved = Expect<VhostUserState>(state);
        if (saved.Configuration is null || saved.Configuration.Length != Configuration.Length)
        {
            throw new DeviceStateException(Id, nameof(saved.Configuration), $"it has {saved.Configuration?.Length ?? 0} bytes, the device {Configuration.Length}");
        }

        CheckConfiguration(saved);
        lock (_gate)
        {
            if (_isActive && _backend is null)
            {
                throw new DeviceStateException(Id, "back end", $"the vhost-user back end at {_options.Socket} has gone or refuses what the guest uses");
            }
        }
    }

    /// <summary>Whether the driver uses a queue that it has given to the device.</summary>
    private protected virtual bool IsRingEnabled(int index) => true;

    /// <summary>The driver has given a queue to the device. In <see cref="Attempt"/>.</summary>
    private protected bool IsRunning(int index) => _rings[index] is not null;

    /// <summary>Told what the driver has accepted; a device may have more to say to the back end.</summary>
    private protected virtual void OnSetUp(VhostUserBackend backend)
    {
    }

    /// <summary>Throws if a saved configuration is of another device.</summary>
    /// <exception cref="DeviceStateException">It is.</exception>
    private protected abstract void CheckConfiguration(VhostUserState saved);

    /// <summary>As <see cref="Attempt"/>, but what is started or stopped together has the time of one step together.</summary>
    private void AttemptInSeries(string what, Action<VhostUserBackend> exchange)
    {
        bool isFirst = !_hasStepBegun;
        _hasStepBegun = true;
        AttemptWithin(what, isFirst, exchange);
    }

    /// <summary>Talks to the back end, if it is there. One that fails is given up.</summary>
    private protected void Attempt(string what, Action<VhostUserBackend> exchange) => AttemptWithin(what, isNewStep: true, exchange);

    private void AttemptWithin(string what, bool isNewStep, Action<VhostUserBackend> exchange)
    {
        lock (_gate)
        {
            if (_backend is not { } backend)
            {
                return;
            }

            try
            {
                if (isNewStep)
                {
                    backend.BeginStep();
                }

                exchange(backend);
            }
            catch (Exception e) when (e is VhostUserException or LinuxException)
            {
                Lose(what, e.Message);
            }
        }
    }

    protected override void Dispose(bool disposing)
    {
        _memory.RemoveWriteLog(this);
        Release();
        base.Dispose(disposing);
    }

    /// <summary>Throws if the back end cannot serve the device, or is not like the one before it.</summary>
    /// <param name="configuration">Gets the back end's configuration, if that is the one that counts.</param>
    /// <exception cref="VhostUserException">It cannot.</exception>
    private void CheckBackend(VhostUserBackend backend, Span<byte> configuration)
    {
        if ((backend.Features & VirtioFeatures.Version1) == 0)
        {
            throw new VhostUserException("the back end has no VIRTIO_F_VERSION_1");
        }

        if ((Offered & ~backend.Features) != 0)
        {
            throw new VhostUserException($"the back end lacks features of the one before it: 0x{Offered & ~backend.Features:x}");
        }

        ulong queues = (backend.MaxQueues ?? (ulong)(_traits.PlainQueues / _traits.QueuesPerUnit)) * (ulong)_traits.QueuesPerUnit;
        if ((ulong)_rings.Length > queues)
        {
            throw new VhostUserException($"the back end serves {queues} queues, the device has {_rings.Length}: set num_queues on one of the two sides");
        }

        if (_traits.ReadsConfiguration)
        {
            if (!backend.Has(Spec.Config))
            {
                throw new VhostUserException("the back end has no configuration space (VHOST_USER_PROTOCOL_F_CONFIG)");
            }

            backend.ReadConfiguration(configuration);
        }
    }

    private static void ThrowIfNotShared(GuestMemory memory)
    {
        foreach (RamRegion region in memory.Regions)
        {
            if (region.BackingFd < 0 || region.Release != RamRelease.PunchHole)
            {
                throw new VhostUserException("a vhost-user device needs memory that other processes can map: --memory shared=on");
            }

            if (!MemoryFile.HasFixedSize(region.BackingFd))
            {
                // Its pages would be gone, and an access end this process (SIGBUS).
                throw new VhostUserException("a vhost-user device needs memory whose size cannot be changed: --memory shared=on, and no zone with a file");
            }
        }
    }

    private void StartRing(VhostUserBackend backend, int index, ushort next)
    {
        VhostUserRing ring = _rings[index]!;
        backend.StartRing(index, ring.Layout, next, ring.Kick.Fd, _calls[index].Fd, _isLogging);
        backend.EnableRing(index, IsRingEnabled(index));

        // A notification may have been lost with an earlier stop.
        ring.Kick.Signal();
    }

    private static ushort StopRing(VhostUserBackend backend, int index, VhostUserRing ring)
    {
        ushort next = backend.StopRing(index);
        return (ushort)(next - ring.UsedIndex) <= ring.Layout.Size
            ? next
            : throw new VhostUserException($"the back end says of ring {index} that it is at {next}, with {ring.UsedIndex} used");
    }

    /// <summary>Waits until the back end has used every buffer, or for so long as it may take. A driver that runs on may add some; that is its own affair.</summary>
    private void AwaitRequests(VhostUserRing ring)
    {
        _finishUntil = _finishUntil != 0 ? _finishUntil : Environment.TickCount64 + (long)_options.FinishLimit.TotalMilliseconds;
        ushort target = ring.AvailIndex;
        if ((ushort)(target - ring.UsedIndex) > ring.Layout.Size)
        {
            // The driver broke its ring; the back end will not go there.
            return;
        }

        if (ring.UsedIndex != target)
        {
            // The driver may have been stopped between making a buffer available and saying so.
            ring.Kick.Signal();
        }

        while ((short)(ring.UsedIndex - target) < 0 && Environment.TickCount64 < _finishUntil)
        {
            _called.WaitOne(FinishTick);
        }
    }

    private void OnCall(int queue)
    {
        Volatile.Write(ref _callCount, _callCount + 1);
        _hasServed = true;
        _called.Set();
        Interrupts?.SignalQueue(queue);
    }

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "{Device}: queue {Queue} stops while its vhost-user back end may have requests in flight ({Suppressed} like it not shown)")]
    private static partial void LogUnfinished(ILogger logger, string device, int queue, long suppressed);
}
