using Cnvm.Arch.Machine;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Consoles;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;
using Microsoft.Extensions.Logging;

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
        Refuse(receive.MemoryMode == MigrationMode.Postcopy ? Userfaultfd.WhyNot() : null, "memory_mode");
        MigrationTransport transport = Transport(receive.TlsDir, MigrationSide.Target, receive.TlsPeerName);
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
        _arrival = new Arrival(this, receive.Disks ?? []);
        var target = new MigrationTarget(
            new ArrivingMachine(_arrival, OnVmmThread),
            new MigrationOptions { Producer = Producer },
            progress,
            new MigrationStop(),
            _decisions,
            listener,
            transport.Accept,
            _logger)
        {
            OnStarted = () => Emit("vm", "migration-receive-started"),
            OnPostcopy = name => Emit("vm", name),
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
            CarryAfterArrival();

            // All threads stand still for it, and the guest has just stood still.
            _thread.PostWhenQuiet(CollectGarbage);
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
        Refuse(receive.VfioFds is not null, "vfio_fds", "passing devices through");
        Refuse(receive.IommufdFd is not null, "iommufd_fd", "passing devices through");
        Refuse(receive.ZoneUpdates is { Count: > 0 }, "zone_updates", "changing memory zones on the way");
    }

    /// <summary>What is known of a machine on its way here.</summary>
    private sealed partial class Arrival(VmmService service, IReadOnlyList<DiskPlacement> placements) : IArrivalOwner
    {
        private ConsoleSet? _consoles;
        private VirtualMachine? _machine;
        private Action<MachineState, Func<ulong>?>? _complete;
        private ArrivingDiskSet? _disks;
        private IReadOnlyList<FileDescriptor>? _queues;

        /// <summary>Null before the source has said it.</summary>
        public VmConfig? Config { get; private set; }

        public IReadOnlyList<IArrivingDisk> Disks => _disks?.Disks ?? [];

        public RamSource Prepare(MigrationOffer offer, HandedOver? handed)
        {
            try
            {
                VmConfig config = service._options.ConfigCodec.Read(offer.Config);
                VmConfigValidator.ThrowIfInvalid(config, goesOn: true);
                ThrowIfMemoryDiffers(config, offer);
                config = ArrivingDiskSet.Place(config, placements, areMoving: offer.Disks is not null);
                service._hypervisor ??= service._options.OpenHypervisor();
                List<string> obstacles =
                [
                    .. GuestContract.Obstacles(offer.Guest, offer.Msrs?.Msrs ?? [], HostCapabilities.Of(service._hypervisor)),
                    .. offer.Disks is null ? ArrivingDisks.Obstacles(config, offer.RawDisks) : [],
                    .. ArrivingFolders.Obstacles(config),
                    .. ArrivingSockets.Obstacles(config),
                    .. handed is null ? ArrivingNetworks.Obstacles(config) : [],
                ];
                if (obstacles.Count > 0)
                {
                    throw new MigrationException(string.Join("; ", obstacles));
                }

                if (offer.Disks is { } disks)
                {
                    _disks = ArrivingDiskSet.Create(config, disks, placements, problem => LogNotCleanedUp(service._logger, problem));
                }

                _queues = handed?.TapQueues;
                ThrowIfQueuesDiffer(config);
                _consoles = ConsoleSet.Open(config, service.Quit);
                Config = _consoles.WithPaths(config);
                _machine = VirtualMachine.Prepare(
                    service._hypervisor,
                    WithTapQueues(_disks is null ? Config : _consoles.WithPaths(_disks.Arriving)),
                    _consoles,
                    service._options.Logging,
                    service.OnGuestRequest,
                    offer.Machine,
                    offer.Guest,
                    Array.ConvertAll(offer.Memory, static r => new AddressRange(r.Gpa, r.Size)),
                    image: null,
                    handed?.Memory,
                    out _complete);
                return _machine.Ram;
            }
            catch (Exception e) when (IsHostFailure(e))
            {
                throw new MigrationException(Messages(e), e);
            }
        }

        /// <summary>The memory is made as the configuration says, and whether this host has as much was asked of the offer.</summary>
        private static void ThrowIfMemoryDiffers(VmConfig config, MigrationOffer offer)
        {
            if (config.BootMemoryBytes != offer.MemoryBytes)
            {
                throw new MigrationException(
                    $"the configuration makes {config.BootMemoryBytes >> 20} MiB of RAM, and the source offers {offer.MemoryBytes >> 20} MiB");
            }
        }

        public void Await(MissingPages? missing) => (_machine ?? service._machine)?.Await(missing);

        public void Complete(MachineState state, Func<ulong>? age)
        {
            try
            {
                _disks?.ThrowIfNotRaw();
                _complete!(state, age);
            }
            catch (Exception e) when (IsHostFailure(e))
            {
                throw new MigrationException(Messages(e), e);
            }
        }

        public void AwaitRings()
        {
            try
            {
                _machine!.AwaitRings();
            }
            catch (IOException e)
            {
                throw new MigrationException(e.Message, e);
            }
        }

        public void Run(bool resume)
        {
            VirtualMachine machine = _machine!;
            try
            {
                _disks?.PutInPlace();
                machine.ObserveDevices(service._deviceEvents.Add);
                machine.MarkDisruption();
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

            _disks?.Keep();
            _disks = null;
            service._machine = machine;
            service._consoles = _consoles;
            service._config = KeepQueues(Config!);
            service._names = new DeviceNames();
            service._state = resume ? VmState.Running : VmState.Paused;
            _machine = null;
            _consoles = null;
            service.ResizeConsole();
            service._thread.Post(service.RemoveEjected);
        }

        public void Discard()
        {
            _machine?.Dispose();
            _machine = null;
            _consoles?.Dispose();
            _consoles = null;
            _disks?.Dispose();
            _disks = null;
            Config = null;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "a file of a disk that came along is left behind: {Problem}")]
    private static partial void LogNotCleanedUp(ILogger logger, string problem);
}
