using Cnvm.Hypervisor;
using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Consoles;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm;

// The target of a migration.
public sealed partial class VmmService
{
    private readonly HandOverDecisions _decisions = new();
    private Arrival? _arrival;
    private MigrationTarget? _target;
    private Thread? _targetThread;
    private ManualResetEventSlim? _targetNotNeeded;

    public void ReceiveMigration(ReceiveMigrationData receive, IReadOnlyList<FileDescriptor> descriptors, Action<VmmException?> onEnd)
    {
        ArgumentNullException.ThrowIfNull(descriptors);
        ArgumentNullException.ThrowIfNull(onEnd);
        RequestValidator.ThrowIfInvalid(receive, descriptors.Count);
        RequireNone("vm.receive-migration");
        RefuseUnsupported(receive);
        EndAnswering();
        _ = StreamEndpoint.TryParse(receive.ReceiverUrl, out StreamEndpoint? endpoint);
        StreamListener listener;
        try
        {
            listener = StreamListener.Bind(endpoint!);
        }
        catch (LinuxException e)
        {
            throw new VmmException(VmmErrorKind.Internal, $"receiver_url: {e.Message}", e);
        }

        var progress = new MigrationProgress(MigrationSide.Target, receive.ReceiverUrl);
        _migration = progress;
        _arrival = new Arrival(this);
        var target = new MigrationTarget(
            new ArrivingMachine(_arrival, OnVmmThread),
            new MigrationOptions { Producer = Producer },
            progress,
            new MigrationStop(),
            _decisions,
            listener,
            static socket => new MigrationLink(socket, socket),
            _logger)
        {
            OnStarted = () => Emit("vm", "migration-receive-started"),
        };
        var notNeeded = new ManualResetEventSlim(false);
        _target = target;
        _targetNotNeeded = notNeeded;
        _targetThread = new Thread(() => Receive(target, progress, notNeeded, onEnd), MigrationStackBytes) { Name = MigrationThread, IsBackground = true };
        Emit("vm", "migration-receive-ready");
        _targetThread.Start();
    }

    /// <summary>On the migration's thread.</summary>
    private void Receive(MigrationTarget target, MigrationProgress progress, ManualResetEventSlim notNeeded, Action<VmmException?> onEnd)
    {
        NativeThread.ShowName();
        target.Run();
        MigrationInfo info = progress.Info();
        bool hasArrived = info.Phase == MigrationPhase.Completed;
        if (hasArrived)
        {
            target.SayGoodbye();
        }

        _thread.Post(() =>
        {
            _arrival = null;
            Emit("vm", hasArrived ? "migration-receive-finished" : "migration-receive-failed");
            onEnd(hasArrived ? null : new VmmException(VmmErrorKind.Internal, $"No VM has arrived: {info.Error}"));
            EndWaits(info);
            CollectGarbage();
        });
        if (target.MayBeAsked)
        {
            notNeeded.Wait(new MigrationOptions { Producer = Producer }.AskingTime);
        }

        target.Dispose();
    }

    /// <summary>A source that still has questions gets no answer any more. Not while one arrives.</summary>
    private void EndAnswering()
    {
        _targetNotNeeded?.Set();
        _targetThread?.Join();
        _targetNotNeeded?.Dispose();
        _targetNotNeeded = null;
        _targetThread = null;
        _target = null;
    }

    private static void RefuseUnsupported(ReceiveMigrationData receive)
    {
        Refuse(receive.TlsDir is not null, "tls_dir", "TLS");
        Refuse(receive.MemoryMode != MigrationMode.Precopy, "memory_mode", "Postcopy");
        Refuse(receive.VfioFds is not null, "vfio_fds", "passing devices through");
        Refuse(receive.IommufdFd is not null, "iommufd_fd", "passing devices through");
        Refuse(receive.ZoneUpdates is { Count: > 0 }, "zone_updates", "changing memory zones on the way");
    }

    /// <summary>What is known of a machine on its way here.</summary>
    private sealed class Arrival(VmmService service) : IArrivalOwner
    {
        private ConsoleSet? _consoles;
        private VirtualMachine? _machine;
        private Action<MachineState>? _complete;

        /// <summary>Null before the source has said it.</summary>
        public VmConfig? Config { get; private set; }

        public RamSource Prepare(MigrationOffer offer)
        {
            try
            {
                VmConfig config = service._options.ConfigCodec.Read(offer.Config);
                VmConfigValidator.ThrowIfInvalid(config);
                service._hypervisor ??= service._options.OpenHypervisor();
                List<string> obstacles = [.. GuestContract.Obstacles(offer.Guest, HostCapabilities.Of(service._hypervisor)), .. ArrivingDisks.Obstacles(config)];
                if (obstacles.Count > 0)
                {
                    throw new MigrationException(string.Join("; ", obstacles));
                }

                _consoles = ConsoleSet.Open(config, service.Quit);
                Config = _consoles.WithPaths(config);
                _machine = VirtualMachine.Prepare(
                    service._hypervisor,
                    Config,
                    _consoles,
                    service._options.Logging,
                    service.OnGuestRequest,
                    offer.Machine,
                    offer.Guest,
                    image: null,
                    out _complete);
                return _machine.Ram;
            }
            catch (Exception e) when (IsHostFailure(e))
            {
                throw new MigrationException(Messages(e), e);
            }
        }

        public void Complete(MachineState state)
        {
            try
            {
                _complete!(state);
            }
            catch (Exception e) when (IsHostFailure(e))
            {
                throw new MigrationException(Messages(e), e);
            }
        }

        public void Run(bool resume)
        {
            VirtualMachine machine = _machine!;
            try
            {
                machine.ObserveDevices(service._deviceEvents.Add);
                if (resume)
                {
                    machine.ShowLocation();
                    machine.Resume();
                    machine.Announce();
                }
            }
            catch (Exception e) when (IsHostFailure(e))
            {
                throw new MigrationException(Messages(e), e);
            }

            service._machine = machine;
            service._consoles = _consoles;
            service._config = Config;
            service._names = new DeviceNames();
            service._state = resume ? VmState.Running : VmState.Paused;
            _machine = null;
            _consoles = null;
            service.ResizeConsole();
        }

        public void Discard()
        {
            _machine?.Dispose();
            _machine = null;
            _consoles?.Dispose();
            _consoles = null;
            Config = null;
        }
    }
}
