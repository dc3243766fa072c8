using Cnvm.Arch;
using Cnvm.Arch.Machine;
using Cnvm.Devices;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Net;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Consoles;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Platform;
using Cnvm.Vmm.Snapshot;
using Microsoft.Extensions.Logging;

namespace Cnvm.Vmm;

/// <summary>
/// One virtual machine and its life cycle. Requests run on the <see cref="VmmThread"/>; what the guest asks for itself is posted
/// there too, so nothing here runs at the same time as anything else but <see cref="Ping"/>.
/// </summary>
public sealed partial class VmmService : IVmm, IDisposable
{
    private const int StandardOutput = 1;

    private readonly VmmOptions _options;
    private readonly VmmThread _thread;
    private readonly ILogger _logger;
    private IHypervisor? _hypervisor;
    private readonly DeviceEvents _deviceEvents;
    private VmConfig? _config;
    private DeviceNames? _names;
    private ConsoleSet? _consoles;
    private VirtualMachine? _machine;
    private VmState _state;
    private bool _ended;

    /// <param name="thread">Runs requests; guest events are posted to it. Owned by the caller.</param>
    public VmmService(VmmOptions options, VmmThread thread)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _thread = thread;
        _logger = options.Logging.CreateLogger("vmm");
        Events = new EventHistory(options.Started);
        _deviceEvents = new DeviceEvents(Record);
        Emit("vmm", "starting");
    }

    public EventHistory Events { get; }

    public VmmPing Ping() => _options.Ping;

    public void Create(VmConfig config)
    {
        RequireAtRest("vm.create");
        ArgumentNullException.ThrowIfNull(config);
        if (_config is not null)
        {
            throw new VmmException(VmmErrorKind.Internal, "A VM has been created already: send vm.delete first");
        }

        VmConfigValidator.ThrowIfInvalid(config);
        try
        {
            _consoles = ConsoleSet.Open(config, Quit);
        }
        catch (Exception e) when (IsHostFailure(e))
        {
            throw new VmmException(VmmErrorKind.Internal, "The VM could not be created", e);
        }

        _config = WithMacs(_consoles.WithPaths(config));
        _names = new DeviceNames();
        _state = VmState.Created;
    }

    public void Boot()
    {
        RequireHere("vm.boot");
        VmConfig config = _config ?? throw VmmException.NotCreated();
        if (_machine is not null)
        {
            throw new VmmException(VmmErrorKind.Internal, $"The VM could not boot: it is {_state} already");
        }

        Emit("vm", "booting");
        try
        {
            // Names are given now and not earlier: they follow the order in which devices are made, whenever they were added.
            _config = config = _names!.AssignTo(config);
            Start(config);
        }
        catch (Exception e) when (IsHostFailure(e))
        {
            throw new VmmException(VmmErrorKind.Internal, "The VM could not boot", e);
        }

        Emit("vm", "booted");
    }

    public VmInfo Info()
    {
        if (_config is null && _arrival?.Config is { } arriving)
        {
            return new VmInfo(arriving, VmState.Created, arriving.BootMemoryBytes);
        }

        VmConfig config = _config ?? throw VmmException.NotCreated();
        ulong memory = _machine is { } machine ? machine.RamBytes - Math.Min(machine.BalloonBytes, machine.RamBytes) : config.BootMemoryBytes;
        return new VmInfo(config, _state, memory, _machine?.DescribeDevices());
    }

    public IReadOnlyDictionary<string, IReadOnlyDictionary<string, ulong>> Counters() => Machine().Counters();

    public void Pause()
    {
        RequireAtRest("vm.pause");
        VirtualMachine machine = Machine();
        if (_state != VmState.Running)
        {
            throw new VmmException(VmmErrorKind.Internal, $"The VM could not be paused: it is {_state}, not Running");
        }

        Emit("vm", "pausing");
        machine.Pause();
        _state = VmState.Paused;
        Emit("vm", "paused");
    }

    public void Resume()
    {
        RequireHere("vm.resume");
        VirtualMachine machine = Machine();
        if (_state != VmState.Paused)
        {
            throw new VmmException(VmmErrorKind.Internal, $"The VM could not be resumed: it is {_state}, not Paused");
        }

        TakeDisksAgain(machine);
        TakeNetworksAgain(machine);
        Emit("vm", "resuming");
        machine.Resume();
        _state = VmState.Running;
        Emit("vm", "resumed");
        RemoveEjected();
    }

    public void Reboot()
    {
        RequireHere("vm.reboot");
        _ = Machine();
        Emit("vm", "rebooting");
        StopMachine();
        VmConfig config = _config!;
        try
        {
            Start(config);
        }
        catch (Exception e) when (IsHostFailure(e))
        {
            _state = VmState.Shutdown;
            throw new VmmException(VmmErrorKind.Internal, "The VM could not reboot; it is shut down", e);
        }

        Emit("vm", "rebooted");
    }

    public void PowerButton()
    {
        RequireAtRest("vm.power-button");
        VirtualMachine machine = Machine();
        if (!machine.PressPowerButton())
        {
            throw new VmmException(VmmErrorKind.Internal, "This machine has no power button: its profile has no ACPI");
        }
    }

    public void Nmi()
    {
        RequireAtRest("vm.nmi");
        Machine().InjectNmi();
    }

    public void Shutdown()
    {
        RequireAtRest("vm.shutdown");
        _ = Machine();
        StopMachine();
        _state = VmState.Shutdown;
        Emit("vm", "shutdown");
    }

    public void Delete()
    {
        EndServing();
        RequireAtRest("vm.delete");
        if (_config is null)
        {
            return;
        }

        Release();
        Emit("vm", "deleted");
    }

    public void ShutdownVmm()
    {
        if (MayEndIncomplete())
        {
            // What waits for memory is left as it is until the process has ended (AbandonPostcopy).
            EmitEnd();
            return;
        }

        Delete();
        EmitEnd();
    }

    /// <summary>Stops the machine if there is one and releases everything. On the VMM's thread, or after it has ended.</summary>
    public void Dispose()
    {
        EndMigrations();
        if (_config is not null)
        {
            Release();
            Emit("vm", "deleted");
        }

        EmitEnd();
        _hypervisor?.Dispose();
        _hypervisor = null;
    }

    /// <summary>Gives back all that a VM has.</summary>
    private void Release()
    {
        StopMachine();
        _plugsVcpus = false;
        _areDisksUnlocked = false;
        _hasMoved = false;
        _consoles?.Dispose();
        _consoles = null;
        _config = null;
        _names = null;
        CloseAll();
    }

    /// <summary>The VMM's terminal has a new size. On the VMM's thread.</summary>
    public void ResizeConsole()
    {
        if (_consoles?.Console is TerminalConsole && Terminal.TryGetSize(StandardOutput, out ushort columns, out ushort rows))
        {
            _machine?.ResizeConsole(columns, rows);
        }
    }

    /// <summary>Interfaces without an address get one now, so that it stays the same over reboots and stands in vm.info. A macvtap interface has one.</summary>
    private static VmConfig WithMacs(VmConfig config) => config with
    {
        Net = config.Net is { } nets ? [.. nets.Select(n => n.Mac is null ? n with { Mac = DeviceFactory.MacText(DeviceFactory.MacOf(n) ?? NetDevice.RandomMac()) } : n)] : null,
    };

    private void Start(VmConfig config)
    {
        _hypervisor ??= _options.OpenHypervisor();
        var machine = VirtualMachine.Create(_hypervisor, config, _consoles!, _options.Logging, OnGuestRequest, PlugsVcpus);
        machine.ObserveDevices(_deviceEvents.Add);
        _machine = machine;
        _state = VmState.Running;
        ResizeConsole();
        machine.Start();
        CollectGarbage();
        ProgramPages.GiveBack();
    }

    /// <summary>
    /// What building a machine leaves behind, and all of the machine before it, would otherwise stay until the collector has a reason to
    /// run, which in steady state, where nothing is allocated, it has not.
    /// </summary>
    private static void CollectGarbage() => GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);

    private void StopMachine()
    {
        VirtualMachine? machine = _machine;
        _machine = null;
        _unanswered = null;
        _plugsVcpus |= machine?.PlugsVcpus is true;
        machine?.Dispose();
        ForgetLeaving();
    }

    internal VirtualMachine Machine() => _machine ?? throw (_config is null ? VmmException.NotCreated() : VmmException.NotBooted());

    /// <summary>Called on a vCPU's thread; the machine has begun to park.</summary>
    private void OnGuestRequest(VirtualMachine source, GuestRequest request, string? report) =>
        _thread.Post(() => Carry(source, request, report));

    private void Carry(VirtualMachine source, GuestRequest request, string? report)
    {
        if (source != _machine)
        {
            // The request of a machine that was stopped in the meantime.
            return;
        }

        if (_arrival is not null && request != GuestRequest.Panic)
        {
            // The machine is whole only when its memory is.
            _afterArrival.Add(() => Carry(source, request, report));
            return;
        }

        if (_source is not null && request == GuestRequest.Eject)
        {
            // What a machine consists of does not change while it moves.
            return;
        }

        if (_source is not null && request != GuestRequest.Panic)
        {
            // A machine that ends or begins anew does not move; what it asked for comes after the move has been given up.
            _sourceStop!.Ask($"the guest asked for {request}");
            _afterMigration = () => Carry(source, request, report);
            return;
        }

        try
        {
            switch (request)
            {
                case GuestRequest.Reset:
                    LogReset(report ?? "the guest");
                    Reboot();
                    break;
                case GuestRequest.PowerOff:
                    LogPowerOff();
                    Shutdown();
                    ExitUnlessKept(0);
                    break;
                case GuestRequest.Panic:
                    LogPanic();
                    Emit("guest", "panic");
                    break;
                case GuestRequest.Eject:
                    RemoveEjected();
                    break;
                case GuestRequest.Failed:
                    LogFailed(report ?? "no report");
                    Shutdown();
                    ExitUnlessKept(1);
                    break;
                case GuestRequest.Damaged:
                    // What it goes on to do may reach its disks.
                    LogDamaged(report ?? "no report");
                    Emit("vm", "memory-damaged", report);
                    Shutdown();
                    ExitUnlessKept(1);
                    break;
            }
        }
        catch (VmmException e)
        {
            LogRequestFailed(e, request);
            ExitUnlessKept(1);
        }
    }

    private void Quit() => _options.OnExit(0);

    private void ExitUnlessKept(int code)
    {
        if (!_options.NoShutdown)
        {
            _options.OnExit(code);
        }
    }

    /// <summary>Once, whichever way the process ends.</summary>
    private void EmitEnd()
    {
        if (!_ended)
        {
            _ended = true;
            Emit("vmm", "shutdown");
        }
    }

    private void Emit(string source, string name, string? reason = null) =>
        Record(new VmmEvent(source, name, reason is null ? null : new Dictionary<string, string> { ["reason"] = reason }));

    private void Record(VmmEvent happened)
    {
        _options.OnEvent(happened);
        Events.Add(happened);
    }

    /// <summary>Failures that lie with the host or the configuration; anything else is a defect and goes through as it is.</summary>
    private static bool IsHostFailure(Exception e) =>
        e is HypervisorException or GuestRamException or MachineLayoutException or GuestAddressException or LinuxException
            or IOException or UnauthorizedAccessException or VmmException or MachineBuildException or SnapshotException
            or DeviceStateException or StateFormatException or BlockImageException;

    [LoggerMessage(Level = LogLevel.Information, Message = "migration: {Phase}, the guest is {Place} ({Reason})")]
    private partial void LogMigration(MigrationPhase phase, GuestPlace place, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "guest asked for a reset: {Source}")]
    private partial void LogReset(string source);

    [LoggerMessage(Level = LogLevel.Information, Message = "guest powered off")]
    private partial void LogPowerOff();

    [LoggerMessage(Level = LogLevel.Warning, Message = "guest kernel panicked")]
    private partial void LogPanic();

    [LoggerMessage(Level = LogLevel.Error, Message = "the guest cannot run any further\n{Report}")]
    private partial void LogFailed(string report);

    [LoggerMessage(Level = LogLevel.Error, Message = "the guest is stopped, because its memory is not what was saved: {Report}")]
    private partial void LogDamaged(string report);

    [LoggerMessage(Level = LogLevel.Error, Message = "the guest's request {Request} failed")]
    private partial void LogRequestFailed(Exception exception, GuestRequest request);
}
