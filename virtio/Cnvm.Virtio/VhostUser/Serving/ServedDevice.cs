using System.Numerics;
using System.Runtime.InteropServices;
using Cnvm.Devices.Bus;
using Cnvm.Linux;
using Cnvm.Linux.Vhost;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;
using Spec = Cnvm.Virtio.VhostUser.VhostUserSpec;

namespace Cnvm.Virtio.VhostUser.Serving;

/// <summary>
/// A virtio device whose driver is reached through a front end: the counterpart of a transport. What the front end says is checked here;
/// what cannot be is a <see cref="VhostUserException"/>, after which <see cref="End"/> is the only thing to call.
/// </summary>
/// <remarks>One thread, but for the interrupts, which the device's threads raise.</remarks>
internal sealed partial class ServedDevice : IVirtioInterrupts, IDisposable
{
    private const ulong LogAll = 1UL << VhostAbi.VHOST_F_LOG_ALL;
    private const ulong OwnFeatures = LogAll | Spec.ProtocolFeatures;

    private readonly VirtioDevice _device;
    private readonly ILogger _logger;
    private readonly LogRateLimit _brokenLimit = new();
    private readonly ServedRing[] _rings;
    private readonly List<SharedRegion> _regions = [];
    private SharedMemory? _memory;
    private SharedLog? _log;
    private SharedInflight? _inflight;
    private ulong _features;
    private bool _isActive;
    private bool _hasWarned;

    /// <param name="device">Disposed with this object; nobody else uses it.</param>
    public ServedDevice(VirtioDevice device, ILogger logger)
    {
        _device = device;
        _logger = logger;
        _rings = new ServedRing[device.QueueSizes.Count];
        for (int i = 0; i < _rings.Length; i++)
        {
            _rings[i] = new ServedRing();
        }

        device.Attach(this);
    }

    public string Id => _device.Id;

    public int RingCount => _rings.Length;

    /// <summary>virtio features on offer, with the protocol's own.</summary>
    public ulong Offered => _device.Features | VirtioFeatures.Version1 | OwnFeatures;

    /// <summary>
    /// Front ends have the configuration from here (VHOST_USER_PROTOCOL_F_CONFIG). A folder's tag they say themselves, and QEMU warns of a back
    /// end that would say it too.
    /// </summary>
    public bool GivesConfiguration => _device.DeviceType != VirtioDeviceType.FileSystem;

    /// <summary>Takes the driver's features, whether or not rings run.</summary>
    public void SetFeatures(ulong features)
    {
        if ((features & ~Offered) != 0)
        {
            throw new VhostUserException($"features 0x{features & ~Offered:x} were not on offer");
        }

        ulong changed = _isActive ? (features ^ _features) & ~LogAll : ulong.MaxValue;
        if (changed == 0)
        {
            // Only logging begins or ends; or the same driver goes on after a stop.
            _features = features;
            PassMarks();
            return;
        }

        WithRingsStopped(() =>
        {
            if (_isActive && (changed & ~OwnFeatures) != 0)
            {
                _device.Reset();
                _isActive = false;
            }

            _features = features;
            if (!_isActive)
            {
                _device.Activate(features & ~OwnFeatures);
                _isActive = true;
            }
        });
    }

    /// <summary>Fills <paramref name="data"/> from the device's configuration.</summary>
    public void ReadConfiguration(uint offset, Span<byte> data) => _device.ReadConfiguration(offset, data);

    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> data) => _device.WriteConfiguration(offset, data);

    /// <summary>Puts other memory in the place of what there was.</summary>
    /// <param name="regions">Owned from now on, also when this fails.</param>
    public void SetMemory(IReadOnlyList<SharedRegion> regions)
    {
        List<SharedRegion> old = [.. _regions];
        _regions.Clear();
        _regions.AddRange(regions);
        try
        {
            Remap();
        }
        finally
        {
            old.ForEach(static r => r.Dispose());
        }
    }

    /// <param name="region">Owned from now on, also when this fails.</param>
    public void AddRegion(SharedRegion region)
    {
        _regions.Add(region);
        if (_regions.Count > Spec.MaxServedRegions)
        {
            throw new VhostUserException($"more than {Spec.MaxServedRegions} pieces of memory");
        }

        Remap();
    }

    public void RemoveRegion(vhost_memory_region place)
    {
        int index = _regions.FindIndex(r =>
            r.Gpa == place.guest_phys_addr && r.Size == place.memory_size && r.Place.userspace_addr == place.userspace_addr);
        if (index < 0)
        {
            throw new VhostUserException($"there is no memory of 0x{place.memory_size:x} bytes at 0x{place.guest_phys_addr:x} to be removed");
        }

        SharedRegion removed = _regions[index];
        _regions.RemoveAt(index);
        try
        {
            Remap();
        }
        finally
        {
            removed.Dispose();
        }
    }

    /// <summary>Takes memory in which writes are marked, once the features say so.</summary>
    public void SetLog(FileDescriptor file, ulong bytes, ulong offset)
    {
        SharedLog log = SharedLog.Map(file, bytes, offset);
        KeepWhole(file);

        // Nobody marks anything while the old one goes.
        WithRingsStopped(() =>
        {
            _memory?.Guest.PassMarksTo(null);
            _log?.Dispose();
            _log = log;
        });
    }

    /// <summary>Takes memory in which requests in flight are noted; rings that start from now on use it.</summary>
    public void SetInflight(FileDescriptor file, ulong bytes, ulong offset, int queues, ushort queueSize)
    {
        SharedInflight inflight = SharedInflight.Map(file, bytes, offset, queues, queueSize);
        KeepWhole(file);
        WithRingsStopped(() =>
        {
            _inflight?.Dispose();
            _inflight = inflight;
        });
    }

    public void SetSize(uint ring, uint size) => Change(ring, r => r.Size = size is >= 1 and <= SplitRing.MaxQueueSize && BitOperations.IsPow2(size)
        ? (ushort)size
        : throw new VhostUserException($"a ring of {size} elements"));

    public void SetBase(uint ring, uint next) => Change(ring, r => r.Next = next <= ushort.MaxValue
        ? (ushort)next
        : throw new VhostUserException($"ring {ring} is to begin at {next}"));

    public void SetPlace(vhost_vring_addr place)
    {
        ServedRing ring = Ring(place.index);
        if (ring.Place is { } old && old.desc_user_addr == place.desc_user_addr && old.avail_user_addr == place.avail_user_addr
            && old.used_user_addr == place.used_user_addr)
        {
            // Told again only because logging begins or ends. All that is written is logged then.
            return;
        }

        Change(place.index, r => r.Place = place);
    }

    /// <param name="kick">Owned from now on.</param>
    public void SetKick(uint ring, EventFd kick) => Change(ring, r => r.SetKick(kick));

    /// <param name="call">Owned from now on; null: nobody waits for interrupts.</param>
    public void SetCall(uint ring, EventFd? call)
    {
        ServedRing r = Ring(ring);
        r.SetCall(call);
        if (r.IsRunning)
        {
            // What was signalled through the one before may not have arrived.
            r.Signal();
        }
    }

    /// <param name="error">Owned from now on.</param>
    public void SetError(uint ring, EventFd? error) => Ring(ring).SetError(error);

    public void Enable(uint ring, bool isEnabled) => Change(ring, r => r.IsEnabled = isEnabled);

    /// <summary>Stops a ring when its requests are done.</summary>
    /// <returns>Where the next available element would be taken.</returns>
    public ushort Stop(uint ring)
    {
        ServedRing r = Ring(ring);
        Stop((int)ring);
        r.SetKick(null);
        return r.Next;
    }

    /// <summary>Stops all rings, and forgets the driver but not the memory.</summary>
    public void ResetDriver()
    {
        for (int i = 0; i < _rings.Length; i++)
        {
            Stop(i);
            _rings[i].Dispose();
        }

        if (_isActive)
        {
            _device.Reset();
            _isActive = false;
        }

        _features = 0;
        PassMarks();
    }

    /// <summary>Forgets the front end, when what is in flight is done.</summary>
    public void End()
    {
        ResetDriver();
        _memory?.Dispose();
        _memory = null;
        _regions.ForEach(static r => r.Dispose());
        _regions.Clear();
        _log?.Dispose();
        _log = null;
        _inflight?.Dispose();
        _inflight = null;
        _hasWarned = false;
    }

    public void Dispose()
    {
        End();
        _device.Dispose();
    }

    void IVirtioInterrupts.SignalQueue(int queue) => _rings[queue].Signal();

    // There is no way to say so without a channel of the back end's own (VHOST_USER_PROTOCOL_F_BACKEND_REQ), and nothing here changes by itself.
    void IVirtioInterrupts.SignalConfiguration()
    {
    }

    void IQueueFaults.QueueBroken(int queue, string reason)
    {
        if (_brokenLimit.TryTake(out long suppressed))
        {
            LogBroken(_logger, Id, queue, reason, suppressed);
        }

        _rings[queue].SignalError();
    }

    private ServedRing Ring(uint index) =>
        index < (uint)_rings.Length ? _rings[index] : throw new VhostUserException($"there is no ring {index}; there are {_rings.Length}");

    /// <summary>Changes what was said of a ring, which runs afterwards if all is there that it needs.</summary>
    private void Change(uint index, Action<ServedRing> change)
    {
        ServedRing ring = Ring(index);
        Stop((int)index);
        change(ring);
        StartIfReady((int)index);
    }

    private void WithRingsStopped(Action change)
    {
        for (int i = 0; i < _rings.Length; i++)
        {
            Stop(i);
        }

        change();
        PassMarks();
        for (int i = 0; i < _rings.Length; i++)
        {
            StartIfReady(i);
        }
    }

    private void Remap() => WithRingsStopped(() =>
    {
        foreach (SharedRegion region in _regions)
        {
            KeepWhole(region.File);
        }

        SharedMemory? old = _memory;
        _memory = _regions.Count == 0 ? null : SharedMemory.Map(_regions);
        old?.Dispose();
    });

    private void PassMarks() => _memory?.Guest.PassMarksTo((_features & LogAll) != 0 ? _log : null);

    private void KeepWhole(FileDescriptor file)
    {
        if (!MemoryFile.TryKeepWhole(file.Value) && !_hasWarned)
        {
            _hasWarned = true;
            LogNotSealed(_logger, Id);
        }
    }

    private void StartIfReady(int index)
    {
        ServedRing ring = _rings[index];
        bool isEnabled = ring.IsEnabled || (_features & Spec.ProtocolFeatures) == 0;
        if (ring is not { IsRunning: false, Kick: { } kick, Size: > 0, Place: { } place } || !isEnabled || !_isActive || _memory is not { } memory)
        {
            return;
        }

        var layout = new QueueState
        {
            Size = ring.Size,
            Enabled = true,
            DescriptorTable = memory.Translate(place.desc_user_addr),
            AvailRing = memory.Translate(place.avail_user_addr),
            UsedRing = memory.Translate(place.used_user_addr),
        };
        if (layout.UsedRing % SplitRing.UsedAlignment != 0 || !memory.Guest.TryGetSpan(layout.UsedRing + sizeof(ushort), sizeof(ushort), out Span<byte> bytes))
        {
            throw new VhostUserException($"ring {index}: a used ring cannot lie at 0x{layout.UsedRing:x}");
        }

        ushort used = Volatile.Read(ref MemoryMarshal.AsRef<ushort>(bytes));
        InflightQueue? inflight = _inflight?.Open(index, ring.Size, used);
        if (inflight is { HasRepeats: true })
        {
            // What the back end before this one has taken it can have taken only from there.
            ring.Next = (ushort)(used + inflight.Repeats);
            LogRepeats(_logger, Id, index, inflight.Repeats);
        }

        if ((ushort)(ring.Next - used) > ring.Size)
        {
            throw new VhostUserException($"ring {index} is to begin at {ring.Next}, and {used} are used");
        }

        if (!SplitQueue.TryCreate(
            memory.Guest, layout with { NextAvail = ring.Next, NextUsed = used }, index, _features, this, out SplitQueue? queue, out string? error))
        {
            throw new VhostUserException($"ring {index}: {error}");
        }

        if (inflight is not null)
        {
            queue.Track(inflight);
        }

        _device.BeginSeries();
        _device.StartQueue(index, new QueueResources(queue, memory.Guest, this, kick));
        ring.IsRunning = true;
    }

    private void Stop(int index)
    {
        ServedRing ring = _rings[index];
        if (ring.IsRunning)
        {
            ring.IsRunning = false;
            _device.BeginSeries();
            ring.Next = _device.StopQueue(index)?.NextAvail ?? ring.Next;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Device}: ring {Ring} is given up until its driver begins anew: {Reason} ({Suppressed} like it not shown)")]
    private static partial void LogBroken(ILogger logger, string device, int ring, string reason, long suppressed);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Device}: ring {Ring} does {Count} requests again that the back end before this one has not finished")]
    private static partial void LogRepeats(ILogger logger, string device, int ring, int count);

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "{Device}: the front end's memory can be cut off, which would end this program (a memory file with F_SEAL_SHRINK cannot)")]
    private static partial void LogNotSealed(ILogger logger, string device);
}
