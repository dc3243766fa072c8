using System.Runtime.ExceptionServices;
using Cnvm.Linux;
using Cnvm.Linux.Tls;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Requests;

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
    private bool _keepsSource;

    // The guest runs elsewhere, and what is here is kept of it: it must not run here too.
    private bool _hasMoved;
    private volatile bool _isEnding;

    private string Producer => $"cnvm {_options.Ping.Version}";

    public MigrationInfo Migration() => _migration?.Info()
        ?? throw new VmmException(VmmErrorKind.NotFound, "No migration has been asked for");

    public void SendMigration(SendMigrationData send)
    {
        RequestValidator.ThrowIfInvalid(send);
        RefuseUnsupported(send);
        _ = StreamEndpoint.TryParse(send.DestinationUrl, out StreamEndpoint? endpoint);
        MigrationTransport transport = Transport(send.TlsDir, MigrationSide.Source, send.TlsPeerName ?? endpoint!.Host);
        if (send.Resume)
        {
            ContinuePostcopy(givenUp => transport.Connect(endpoint!, givenUp));
            return;
        }

        VirtualMachine machine = Machine();
        RequireHere("vm.send-migration");
        if (_areDisksUnlocked || machine.HasEnded)
        {
            throw new VmmException(VmmErrorKind.Internal, "The VM cannot move now: whether it runs elsewhere is not known, or it is just ending");
        }

        MigrationOffer offer = MakeOffer(machine, send.WithDisks, send.Local);
        var progress = new MigrationProgress(MigrationSide.Source, send.DestinationUrl);
        var limits = new MigrationLimits { DowntimeMs = send.DowntimeMs, TimeoutS = send.TimeoutS, BandwidthBytesPerS = send.MaxBytesPerS };
        var stop = new MigrationStop();
        bool isPaused = _state == VmState.Paused;
        IReadOnlyList<int> queues = send.Local ? machine.TapQueues(_config!) : [];
        var guest = new DepartingMachine(machine, offer, isPaused, Producer, OnVmmThread)
        {
            MemoryDescriptors = send.Local ? HandedMemory.Of(machine.Ram.Memory) : null,
            TapQueues = queues,
            OnStopped = isStopped =>
            {
                _areDisksUnlocked = isStopped;
                _areNetworksHanded = isStopped && queues.Count > 0;
                _state = isStopped || isPaused ? VmState.Paused : VmState.Running;
            },
        };
        var options = new MigrationOptions
        {
            Producer = Producer,
            AutoConverge = send.AutoConverge,
            OnlyChecks = send.OnlyCheck,
            DeltaCacheBytes = send.DeltaCache,
            Connections = (int)send.Connections,
            Postcopy = send.MemoryMode == MigrationMode.Postcopy ? PostcopyUse.AfterFirstRound
                : send.TimeoutStrategy == TimeoutStrategy.Postcopy ? PostcopyUse.AfterTimeout
                : PostcopyUse.Never,
            FinishAfterTimeout = send.TimeoutStrategy == TimeoutStrategy.Ignore,
            Compress = send.Compression == MigrationCompression.Lz4
                || (send.Compression == MigrationCompression.Auto && endpoint!.Path is null),
        };
        _migration = progress;
        _migrationLimits = limits;
        _sourceStop = stop;
        _afterMigration = null;
        _keepsSource = send.KeepSource;
        var source = new MigrationSource(guest, options, limits, progress, stop, givenUp => transport.Connect(endpoint!, givenUp), RandomId.Make())
        {
            OnRound = () => Emit("vm", "migration-memory-iteration"),
            OnPostcopy = name => Emit("vm", name),
        };
        Emit("vm", "migration-started");
        StartSource(source, progress, source.Run);
    }

    private void StartSource(MigrationSource source, MigrationProgress progress, Action run)
    {
        _source = source;
        _unanswered = null;
        _sourceThread = new Thread(() => Send(source, progress, run), MigrationStackBytes) { Name = MigrationThread, IsBackground = true };
        _sourceThread.Start();
    }

    /// <summary>Ends the migration under way; the guest stays at the source.</summary>
    public void CancelMigration()
    {
        const string Reason = "it was cancelled";
        if (_source is { } source)
        {
            if (!source.TryCancel(Reason))
            {
                throw new VmmException(VmmErrorKind.Internal, "The migration cannot be cancelled any more: the target has been told to run the guest");
            }
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

    /// <exception cref="ConfigException">The folder has not what TLS needs.</exception>
    private static MigrationTransport Transport(string? tlsFolder, MigrationSide side, string? peerName)
    {
        try
        {
            return tlsFolder is null ? MigrationTransport.Plain : MigrationTransport.Secure(tlsFolder, side, peerName);
        }
        catch (TlsException e)
        {
            throw new ConfigException("tls_dir", e.Message);
        }
    }

    private static void RefuseUnsupported(SendMigrationData send)
    {
        Refuse(send.PreserveSource, "preserve_source", "keeping the source");
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

    /// <summary>On the migration's thread.</summary>
    private void Send(MigrationSource source, MigrationProgress progress, Action run)
    {
        NativeThread.ShowName();
        run();
        _thread.Post(() => EndSend(source, progress.Info()));
    }

    private void EndSend(MigrationSource source, MigrationInfo info)
    {
        if (_source != source)
        {
            // Its guest was deleted meanwhile.
            return;
        }

        _source = null;
        _unanswered = info.Phase == MigrationPhase.Unknown && source.KeepsPages ? source : null;
        bool hasMoved = info.Phase == MigrationPhase.Completed;
        bool ends = hasMoved && !_keepsSource;
        if (ends)
        {
            StopMachine();
        }

        Emit("vm", hasMoved ? "migration-finished" : info.Phase == MigrationPhase.Checked ? "migration-checked" : "migration-failed", info.Error);
        LogMigration(info.Phase, info.Guest, info.Error ?? "no error");
        EndWaits(info);
        if (ends)
        {
            Release();
            _options.OnExit(0);
            return;
        }

        _hasMoved = hasMoved;
        if (!_areDisksUnlocked)
        {
            RemoveEjected();
        }

        // What the guest has asked for meanwhile.
        Action? after = hasMoved ? null : _afterMigration;
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
            string wayOut = _source.IsLost
                ? "its connection is lost; vm.send-migration with resume says where the target is now, vm.delete gives the guest up"
                : "vm.migration-cancel ends that";
            throw new VmmException(VmmErrorKind.Internal, $"{call}: the VM is being migrated; {wayOut}");
        }

        if (_arrival is not null && _target!.IsIncomplete)
        {
            string wayOut = _target.IsLost ? ". The connection is lost: if the source does not come back, vmm.shutdown ends this VMM and the guest" : "";
            throw new VmmException(
                VmmErrorKind.Internal, $"{call}: the VM's memory is still coming (post-copy); vm.migration says how much is missing, vm.migration-wait when it is here{wayOut}");
        }

        if (_arrival is not null)
        {
            throw new VmmException(VmmErrorKind.Internal, $"{call}: a VM is being received; vm.migration-cancel ends that");
        }
    }

    /// <summary>What is kept of a guest that has moved is not let run, nor booted anew: its disks are old, and its addresses the other one's.</summary>
    private void RequireHere(string call)
    {
        RequireAtRest(call);
        if (_hasMoved)
        {
            throw new VmmException(
                VmmErrorKind.Internal,
                $"{call}: the VM has moved to {_migration!.Info().Url}; what is kept here (keep_source) is as it was when it moved. vm.delete gives it up; "
                    + "if the other one is gone for good, take a vm.snapshot of it first, and restore that");
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
            machine.TakeFileLocks();
            _areDisksUnlocked = false;
            _unanswered = null;
        }
        catch (Exception e) when (e is Virtio.Block.BlockImageException or IOException)
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
        _sourceStop?.End(Reason);
        _sourceThread?.Join();
        if (_target is { } target)
        {
            if (target.IsIncomplete)
            {
                AbandonPostcopy(target);
            }

            target.TryCancel(Reason);
            EndAnswering();
        }
    }
}
