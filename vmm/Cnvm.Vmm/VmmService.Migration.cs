using System.Runtime.ExceptionServices;
using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm;

// The source of a migration, and what both sides share.
public sealed partial class VmmService
{
    private const string MigrationThread = "migration-worker";
    private const int MigrationStackBytes = 512 << 10;

    private readonly List<Action<MigrationInfo>> _migrationWaits = [];
    private MigrationProgress? _migration;
    private MigrationLimits? _migrationLimits;
    private MigrationStop? _sourceStop;
    private MigrationSource? _source;
    private Thread? _sourceThread;
    private Action? _afterMigration;
    private bool _areDisksUnlocked;
    private volatile bool _isEnding;

    private string Producer => $"cnvm {_options.Ping.Version}";

    public MigrationInfo Migration() => _migration?.Info()
        ?? throw new VmmException(VmmErrorKind.NotFound, "No migration has been asked for");

    public void SendMigration(SendMigrationData send)
    {
        RequestValidator.ThrowIfInvalid(send);
        RefuseUnsupported(send);
        VirtualMachine machine = Machine();
        RequireAtRest("vm.send-migration");
        if (_areDisksUnlocked || machine.HasEnded)
        {
            throw new VmmException(VmmErrorKind.Internal, "The VM cannot move now: whether it runs elsewhere is not known, or it is just ending");
        }

        _ = StreamEndpoint.TryParse(send.DestinationUrl, out StreamEndpoint? endpoint);
        MigrationOffer offer = MakeOffer(machine);
        var progress = new MigrationProgress(MigrationSide.Source, send.DestinationUrl);
        var limits = new MigrationLimits { DowntimeMs = send.DowntimeMs, TimeoutS = send.TimeoutS, BandwidthBytesPerS = send.MaxBytesPerS };
        var stop = new MigrationStop();
        bool isPaused = _state == VmState.Paused;
        var guest = new DepartingMachine(machine, offer, isPaused, Producer, OnVmmThread)
        {
            OnStopped = isStopped =>
            {
                _areDisksUnlocked = isStopped;
                _state = isStopped || isPaused ? VmState.Paused : VmState.Running;
            },
        };
        var options = new MigrationOptions
        {
            Producer = Producer,
            AutoConverge = send.AutoConverge,
            FinishAfterTimeout = send.TimeoutStrategy == TimeoutStrategy.Ignore,
            Compress = send.Compression == MigrationCompression.Lz4
                || (send.Compression == MigrationCompression.Auto && endpoint!.Path is null),
        };
        _migration = progress;
        _migrationLimits = limits;
        _sourceStop = stop;
        _afterMigration = null;
        var source = new MigrationSource(guest, options, limits, progress, stop, givenUp => Connect(endpoint!, givenUp), RandomId.Make())
        {
            OnRound = () => Emit("vm", "migration-memory-iteration"),
        };
        _source = source;
        _sourceThread = new Thread(() => Send(source, progress), MigrationStackBytes) { Name = MigrationThread, IsBackground = true };
        Emit("vm", "migration-started");
        _sourceThread.Start();
    }

    /// <summary>Ends the migration under way; the guest stays at the source.</summary>
    public void CancelMigration()
    {
        const string Reason = "it was cancelled";
        if (_source is { } source)
        {
            if (source.IsOrdered)
            {
                throw new VmmException(VmmErrorKind.Internal, "The migration cannot be cancelled any more: the target has been told to run the guest");
            }

            _sourceStop!.Ask(Reason);
        }
        else if (_arrival is null || !_target!.TryCancel(Reason))
        {
            throw new VmmException(VmmErrorKind.Internal, "No migration is under way that could be cancelled");
        }
    }

    public void SetMigration(MigrationSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        RequestValidator.ThrowIfInvalid(settings);
        if (_source is null)
        {
            throw new VmmException(VmmErrorKind.Internal, "No migration is under way from here");
        }

        _migrationLimits!.DowntimeMs = settings.DowntimeMs ?? _migrationLimits.DowntimeMs;
        _migrationLimits.TimeoutS = settings.TimeoutS ?? _migrationLimits.TimeoutS;
        _migrationLimits.BandwidthBytesPerS = settings.MaxBytesPerS ?? _migrationLimits.BandwidthBytesPerS;
    }

    public void WaitForMigration(Action<MigrationInfo> onEnd)
    {
        ArgumentNullException.ThrowIfNull(onEnd);
        MigrationInfo info = Migration();
        if (_source is null && _arrival is null)
        {
            onEnd(info);
        }
        else
        {
            _migrationWaits.Add(onEnd);
        }
    }

    private static MigrationLink Connect(StreamEndpoint endpoint, Func<bool> isGivenUp)
    {
        const int PatienceMilliseconds = 10_000;
        SocketStream socket = SocketStream.Connect(endpoint, PatienceMilliseconds, isGivenUp);
        return new MigrationLink(socket, socket);
    }

    private static void RefuseUnsupported(SendMigrationData send)
    {
        Refuse(send.Local, "local", "handing the memory over to a process of the same host");
        Refuse(send.PreserveSource, "preserve_source", "keeping the source");
        Refuse(send.Connections != 1, "connections", "more than one connection");
        Refuse(send.TlsDir is not null, "tls_dir", "TLS");
        Refuse(send.MemoryMode != MigrationMode.Precopy, "memory_mode", "Postcopy");
    }

    private static void Refuse(bool isAskedFor, string field, string what)
    {
        if (isAskedFor)
        {
            throw new ConfigException(field, $"{what} is not supported yet by cnvm");
        }
    }

    private static string Messages(Exception e)
    {
        List<string> messages = [];
        for (Exception? cause = e; cause is not null; cause = cause.InnerException)
        {
            if (messages.Count == 0 || messages[^1] != cause.Message)
            {
                messages.Add(cause.Message);
            }
        }

        return string.Join(": ", messages);
    }

    private MigrationOffer MakeOffer(VirtualMachine machine)
    {
        RamSource ram = machine.Ram;
        if (_config!.Net?.FirstOrDefault(n => n.Fds is not null) is { } net)
        {
            throw new VmmException(VmmErrorKind.Internal, $"{net.Id}: an interface with TAP queues by descriptor cannot move yet");
        }

        if (ram.Plan.FirstOrDefault(p => p.Shared && p.File is { } file && !Directory.Exists(file)) is { } piece)
        {
            throw new VmmException(
                VmmErrorKind.Internal, $"memory zone {piece.ZoneId}: it lies in {piece.File}, which other processes share, and cannot move");
        }

        return new MigrationOffer
        {
            Config = _options.ConfigCodec.Write(_config!),
            Machine = machine.ProfileName,
            Guest = machine.Promise(_hypervisor!),
            Memory = [.. ram.Plan.Select(p => new MigrationRange(p.Gpa, p.Size, p.ZoneId ?? ""))],
            Hypervisor = _hypervisor!.Name,
        };
    }

    /// <summary>On the migration's thread.</summary>
    private void Send(MigrationSource source, MigrationProgress progress)
    {
        NativeThread.ShowName();
        source.Run();
        _thread.Post(() => EndSend(progress.Info()));
    }

    private void EndSend(MigrationInfo info)
    {
        _source = null;
        bool hasMoved = info.Phase == MigrationPhase.Completed;
        if (hasMoved)
        {
            StopMachine();
        }

        Emit("vm", hasMoved ? "migration-finished" : "migration-failed", info.Error);
        LogMigration(info.Phase, info.Guest, info.Error ?? "no error");
        EndWaits(info);
        if (hasMoved)
        {
            Release();
            _options.OnExit(0);
            return;
        }

        // What the guest has asked for meanwhile.
        Action? after = _afterMigration;
        _afterMigration = null;
        after?.Invoke();
    }

    private void EndWaits(MigrationInfo info)
    {
        foreach (Action<MigrationInfo> wait in _migrationWaits)
        {
            wait(info);
        }

        _migrationWaits.Clear();
    }

    /// <summary>The machine must stay as it is while it moves.</summary>
    private void RequireAtRest(string call)
    {
        if (_source is not null)
        {
            throw new VmmException(VmmErrorKind.Internal, $"{call}: the VM is being migrated; vm.migration-cancel ends that");
        }

        if (_arrival is not null)
        {
            throw new VmmException(VmmErrorKind.Internal, $"{call}: a VM is being received; vm.migration-cancel ends that");
        }
    }

    /// <summary>Before a machine whose move ended with nobody's answer goes on here.</summary>
    private void TakeDisksAgain(VirtualMachine machine)
    {
        if (!_areDisksUnlocked)
        {
            return;
        }

        try
        {
            machine.LockDisks();
            _areDisksUnlocked = false;
        }
        catch (Virtio.Block.BlockImageException e)
        {
            throw new VmmException(VmmErrorKind.Internal, $"The VM cannot go on here: {e.Message}", e);
        }
    }

    /// <summary>Runs something on the VMM's thread and waits; its exception comes back here. For the threads of a migration.</summary>
    /// <exception cref="MigrationException">The VMM ends.</exception>
    private void OnVmmThread(Action action)
    {
        using var done = new ManualResetEventSlim(false);
        ExceptionDispatchInfo? failure = null;
        bool isAbandoned = false;
        var gate = new object();
        _thread.Post(() =>
        {
            lock (gate)
            {
                if (isAbandoned)
                {
                    return;
                }

                try
                {
                    action();
                }
#pragma warning disable CA1031 // It comes back where the action came from.
                catch (Exception e)
#pragma warning restore CA1031
                {
                    failure = ExceptionDispatchInfo.Capture(e);
                }

                done.Set();
            }
        });
        const int SliceMilliseconds = 100;
        while (!done.Wait(SliceMilliseconds))
        {
            if (_isEnding)
            {
                lock (gate)
                {
                    isAbandoned = true;
                }

                if (!done.IsSet)
                {
                    throw new MigrationException("the VMM ends");
                }
            }
        }

        failure?.Throw();
    }

    /// <summary>Ends what migrations still do, when the VMM's thread has ended or is about to.</summary>
    private void EndMigrations()
    {
        const string Reason = "the VMM ends";
        _isEnding = true;
        _sourceStop?.Ask(Reason);
        _sourceThread?.Join();
        if (_target is { } target)
        {
            target.TryCancel(Reason);
            EndAnswering();
        }
    }
}
