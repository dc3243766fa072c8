using Cnvm.Devices.Bus;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Microsoft.Extensions.Logging;
using Spec = Cnvm.Virtio.VhostUser.VhostUserSpec;

namespace Cnvm.Virtio.VhostUser;

/// <content>The connection: made, lost, made again; and the log of the back end's writes.</content>
public abstract partial class VhostUserDevice
{
    private const int ConnectTickMilliseconds = 50;

    private readonly LogRateLimit _uselessLimit = new();
    private readonly LogRateLimit _lostLimit = new();
    private readonly LogRateLimit _foundLimit = new();
    private readonly LogRateLimit _unfinishedLimit = new();
    private long _connectedAt = Environment.TickCount64;

    void IDeviceWriteLog.Start()
    {
        lock (_gate)
        {
            if (_backend is not { CanLog: true })
            {
                throw new VhostUserException(
                    $"{Id}: its vhost-user back end {(_backend is null ? "is not there" : "cannot log what it writes to memory")}, which incremental snapshots and migration need");
            }

            if (_log is not null && _log.Bytes < VhostUserLog.BytesFor(_memory))
            {
                // Memory has been added since it was made.
                _log.Dispose();
                _log = null;
            }

            _log ??= new VhostUserLog(_memory);
            _isLogging = true;
            Attempt("log writes", backend =>
            {
                backend.SetLog(_log.File, _log.Bytes);
                PassLogging(backend);
            });
            if (_backend is null)
            {
                _isLogging = false;
                throw new VhostUserException($"{Id}: its vhost-user back end went when it was to log what it writes");
            }
        }
    }

    void IDeviceWriteLog.Collect(DirtyBitmap into)
    {
        lock (_gate)
        {
            _log?.Collect(into);
        }
    }

    void IDeviceWriteLog.Stop()
    {
        lock (_gate)
        {
            if (_isLogging)
            {
                _isLogging = false;
                Attempt("end logging", PassLogging);
            }
        }
    }

    private void PassLogging(VhostUserBackend backend)
    {
        if (!_isActive)
        {
            return;
        }

        backend.SetFeatures(Passed(backend));
        for (int i = 0; i < _rings.Length; i++)
        {
            if (_rings[i] is { } ring)
            {
                backend.PlaceRing(i, ring.Layout, _isLogging);
            }
        }
    }

    /// <summary>What the back end is told of the features that the driver has accepted.</summary>
    private ulong Passed(VhostUserBackend backend) => (_accepted & backend.Features) | (_isLogging ? LogAll : 0);

    /// <summary>Why the back end cannot serve a machine whose memory has so many pieces; null if it can, or is not there to be asked. Any thread.</summary>
    public string? MemoryObstacle(int regions)
    {
        ulong slots = ulong.MaxValue;
        Attempt("ask for memory slots", backend => slots = backend.AskMemorySlots());
        return (ulong)regions > slots ? $"{Id}: its vhost-user back end takes memory of {slots} pieces, no more" : null;
    }

    /// <summary>Guest memory has been added; the queues stand still. A back end that does not take it is given up.</summary>
    public void ShareAddedMemory() => Attempt("share memory", backend => backend.ShareAdded(_memory));

    private void SetUp(VhostUserBackend backend)
    {
        if (_isLogging)
        {
            if (!backend.CanLog)
            {
                throw new VhostUserException("it cannot log what it writes to memory, and an incremental snapshot or a migration is under way");
            }

            backend.SetLog(_log!.File, _log.Bytes);
        }

        backend.SetFeatures(Passed(backend));
        if (backend.Has(Spec.InflightSharedMemory))
        {
            _inflight ??= backend.MakeInflight(_rings.Length, _options.QueueSize);
            backend.SetInflight(_inflight);
        }

        OnSetUp(backend);
    }

    private VhostUserBackend Greet(UnixStream stream) => VhostUserBackend.Greet(
        stream,
        _options.AnswerLimit,
        Spec.MultiQueue | Spec.ReplyAck | Spec.LogSharedMemory | Spec.ConfigureMemorySlots | _traits.ProtocolFeatures,
        _memory);

    /// <summary>Waits for the back end to be there at all.</summary>
    private UnixStream Wait()
    {
        long until = Environment.TickCount64 + (long)_options.ConnectLimit.TotalMilliseconds;
        while (true)
        {
            if (TryOpen() is { } stream)
            {
                return stream;
            }

            long left = until - Environment.TickCount64;
            if (left <= 0)
            {
                throw new VhostUserException(_options.IsServer
                    ? $"nobody has connected to {_options.Socket} for {_options.ConnectLimit.TotalSeconds:0.#} s"
                    : $"nobody serves {_options.Socket}: start the vhost-user back end first");
            }

            if (_listener is { } listener)
            {
                Span<PollEntry> entry = [new PollEntry { Fd = listener.Fd, Events = PollEntry.In }];
                _ = Poll.Wait(entry, (int)left);
            }
            else
            {
                // Nothing tells when somebody begins to listen on a Unix socket: it is tried again after a while.
                _ = Poll.Wait([], (int)Math.Min(left, ConnectTickMilliseconds));
            }
        }
    }

    private UnixStream? TryOpen() => _listener is { } listener ? listener.Accept() : UnixStream.TryConnect(_options.Socket);

    /// <summary>On the relay's thread: the socket has something to say, and back ends speak only when they are asked.</summary>
    private void OnSocket()
    {
        lock (_gate)
        {
            if (_backend is { } backend)
            {
                Span<PollEntry> entry = [new PollEntry { Fd = backend.Fd, Events = PollEntry.In }];
                if (Poll.Wait(entry, 0) > 0)
                {
                    Lose("wait", HasLeft(backend) ? "it has closed the connection" : "it speaks without being asked");
                }
            }
        }
    }

    private void Lose(string what, string reason)
    {
        VhostUserBackend backend = _backend!;
        bool hasLeft = HasLeft(backend);
        _backend = null;
        _relay.UnwatchSocket(backend.Fd);
        backend.Dispose();
        if (_lostLimit.TryTake(out long suppressed))
        {
            LogLost(_logger, Id, what, reason, suppressed);
        }

        if (_isActive && !_isBroken)
        {
            GoOnWithout(hasLeft);
        }

        _relay.RetryAfter(_connectedAt);
    }

    private static bool HasLeft(VhostUserBackend backend)
    {
        Span<PollEntry> entry = [new PollEntry { Fd = backend.Fd }];
        return Poll.Wait(entry, 0) > 0 && (entry[0].Returned & PollEntry.HangUp) != 0;
    }

    /// <summary>Sees to the driver when the back end has gone.</summary>
    private void GoOnWithout(bool hasLeft)
    {
        bool goesOn = _traits.HasSession && _hasServed ? TryRefuse(hasLeft)
            : _traits.HasSession || _traits.IsOrdered || _inflight is not null || AreIdle();
        if (!goesOn)
        {
            // What was in flight is known to nobody: only the driver can begin anew.
            Break("its vhost-user back end has gone");
        }
    }

    private void Break(string reason)
    {
        _isBroken = true;
        for (int i = 0; i < _rings.Length; i++)
        {
            if (_rings[i] is not null)
            {
                Interrupts?.QueueBroken(i, reason);
            }
        }
    }

    /// <summary>On the relay's thread, at its end: nobody passes interrupts on, or looks for a back end, any more.</summary>
    private void OnRelayFailed()
    {
        lock (_gate)
        {
            _hasRelayFailed = true;
            _backend?.Dispose();
            _backend = null;
            Break("its I/O thread has failed");
        }
    }

    /// <summary>On the relay's thread, the only one that connects.</summary>
    private bool TryReconnect()
    {
        lock (_gate)
        {
            if (_backend is not null || _isDisposed)
            {
                return true;
            }
        }

        if (ForeignDescriptors.AreStuck)
        {
            return false;
        }

        // Without the lock, so that nobody waits for a back end that answers late: nothing here is anybody else's.
        VhostUserBackend? backend = null;
        try
        {
            if (TryOpen() is not { } stream)
            {
                return false;
            }

            backend = Greet(stream);
            byte[] configuration = [.. Configuration];
            CheckBackend(backend, configuration);
            if (!configuration.AsSpan(0, _traits.FixedConfigurationBytes).SequenceEqual(Configuration.AsSpan(0, _traits.FixedConfigurationBytes)))
            {
                throw new VhostUserException("its configuration is not that of the one before it");
            }

            lock (_gate)
            {
                Install(backend);
            }

            return true;
        }
        catch (Exception e) when (e is VhostUserException or LinuxException)
        {
            backend?.Dispose();
            if (_uselessLimit.TryTake(out long suppressed))
            {
                LogUseless(_logger, Id, e.Message, suppressed);
            }

            return false;
        }
    }

    private void Install(VhostUserBackend backend)
    {
        // It may have been greeted before memory was added.
        backend.ShareAdded(_memory);
        if (_isActive && !_isBroken)
        {
            SetUp(backend);
            bool wasRefused = _isSessionLost;
            EndRefusal();
            try
            {
                StartRings(backend);
            }
            catch (Exception e) when (wasRefused && e is (VhostUserException or LinuxException))
            {
                GoOnWithout(HasLeft(backend));
                throw;
            }
        }

        _relay.WatchSocket(backend.Fd);
        _backend = backend;
        _connectedAt = Environment.TickCount64;
        _reconnects++;
        if (_foundLimit.TryTake(out long suppressed))
        {
            LogFound(_logger, Id, suppressed);
        }
    }

    private void StartRings(VhostUserBackend backend)
    {
        for (int i = 0; i < _rings.Length; i++)
        {
            if (_rings[i] is { } ring)
            {
                // What was taken and not given back is taken again; a back end that finds more in the inflight memory knows better.
                StartRing(backend, i, ring.UsedIndex);

                // Nor is it known whether the driver was told of what the one before it did last.
                Interrupts?.SignalQueue(i);
            }
        }
    }

    private void Release()
    {
        lock (_gate)
        {
            _isDisposed = true;
        }

        // Without the lock: the relay's thread may be waiting for it.
        _relay?.Dispose();
        _backend?.Dispose();
        _backend = null;
        _listener?.Dispose();
        EndRefusal();
        _inflight?.Dispose();
        _log?.Dispose();
        _log = null;
        _called.Dispose();
        foreach (EventFd call in _calls)
        {
            call?.Dispose();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Device}: the vhost-user back end is given up ({What}): {Reason} ({Suppressed} like it not shown)")]
    private static partial void LogLost(ILogger logger, string device, string what, string reason, long suppressed);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Device}: the vhost-user back end is there again ({Suppressed} like it not shown)")]
    private static partial void LogFound(ILogger logger, string device, long suppressed);

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "{Device}: what answers at the vhost-user socket is of no use: {Reason} ({Suppressed} like it not shown)")]
    private static partial void LogUseless(ILogger logger, string device, string reason, long suppressed);
}
