using Cnvm.Arch.Boot;
using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Machine;
using Cnvm.Devices.Platform;
using Cnvm.Devices.Serial;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State;
using Cnvm.Virtio.Balloon;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Console;
using Cnvm.Virtio.RateLimits;
using Cnvm.Virtio.Watchdog;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Consoles;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Platform;
using Cnvm.Vmm.Snapshot;
using Cnvm.Vmm.Vcpus;
using Microsoft.Extensions.Logging;
using CpuTopology = Cnvm.Arch.Machine.CpuTopology;
using Profile = Cnvm.Arch.Machine.MachineProfile;

namespace Cnvm.Vmm;

/// <summary>
/// A machine put together: memory, chipset, virtio devices and vCPUs of one partition, with a kernel loaded. Everything but what
/// devices and vCPU threads do runs on the VMM's thread.
/// </summary>
internal sealed partial class VirtualMachine : IDisposable
{
    private readonly Action<VirtualMachine, GuestRequest, string?> _onRequest;
    private readonly ILogger _logger;
    private IReadOnlyList<RamPiece> _ramPlan;
    private readonly string _profileName;
    private readonly string _hypervisorName;
    private readonly string _cpuProfile;
    private readonly GuestMemory _memory;
    private readonly IPartition _partition;
    private readonly Chipset _chipset;
    private readonly VirtioSet _virtio;
    private uint _tscKhz;
    private ConsoleDevice? _console;
    private BalloonDevice? _balloon;
    private ConsoleBackend? _consoleBackend;
    private ParavirtualClock? _pausedClock;
    private ulong _pausedAt;
    private ulong _tscRunsSince;
    private int _ending;
    private int _panicked;
    private bool _wakeSerial;

    private VirtualMachine(
        IHypervisor hypervisor,
        VmConfig config,
        PhysicalLayout layout,
        ConsoleSet consoles,
        ILoggerFactory logging,
        Action<VirtualMachine, GuestRequest, string?> onRequest,
        CpuModelProfile profile,
        MemoryImage? image,
        IReadOnlyList<AddressRange>? ranges = null,
        HandedMemory? handed = null,
        bool prefaults = true)
    {
        _onRequest = onRequest;
        _logger = logging.CreateLogger("machine");
        _profileName = layout.Profile.Name;
        _hypervisorName = hypervisor.Name;
        _cpuProfile = profile.Name;
        _hotplugRam = layout.HotplugRam;
        _added = AddedMemory(config, layout, ranges);
        IReadOnlyList<RamPiece> plan = RamPlan.Create(config.Memory, [.. layout.RamRegions, .. _added]);
        _cpuModel = profile;
        _cpus = config.Cpus;
        _topology = Topology(config.Cpus);
        _ramPlan = image?.Place(plan) ?? plan;
        _memory = GuestRamAllocator.Allocate(handed?.Place(_ramPlan) ?? _ramPlan, prefaults, layout.HotplugRam.Length > 0 ? layout.HotplugRam.End : 0, out _space);
        IPartition? partition = null;
        try
        {
            image?.Load(_memory);
            partition = hypervisor.CreatePartition(new PartitionOptions
            {
                MaxVcpus = (int)config.Cpus.MaxVcpus,
                IoApicPins = layout.Profile.IoApics[0].Pins,
                TssAddress = Profile.KvmTssAddress,
                IdentityMapAddress = Profile.KvmIdentityMapAddress,
                TscKhz = _tscKhz = profile.TscKhz,

                // No machine shows performance counters.
                HiddenMsrs = PerformanceMsrs.All,
            });
            foreach (RamRegion region in _memory.Regions)
            {
                partition.MapRam(region);
            }

            _partition = partition;
            var msi = new MsiController(partition.Interrupts);
            _chipset = new Chipset(layout, config, consoles, msi, new PicOutput(this), new MachineEvents(Request), logging);
            _chipset.AddMemoryHotplug(_added);
            _vcpuBus = new VcpuBus(_chipset.Ports, _chipset.Memory, _chipset.IoApic, _chipset.Pic);
            _virtio = new VirtioSet(layout, _chipset, _memory, msi, new Doorbells(partition), logging.CreateLogger("virtio"));
        }
        catch
        {
            partition?.Dispose();
            _memory.Dispose();
            throw;
        }
    }

    /// <summary>Bytes of RAM that the guest has.</summary>
    public ulong RamBytes => _memory.Size;

    /// <summary>Builds the machine and loads its kernel; nothing runs yet.</summary>
    /// <param name="consoles">The host's console ends; they outlive the machine.</param>
    /// <param name="onRequest">Told, on a vCPU's thread, what the guest asks for; the vCPUs have begun to park, but for a panic report or an ejected slot.</param>
    /// <param name="plugsVcpus">vCPUs may come and go, where the guest can be told.</param>
    /// <exception cref="HypervisorException">The hypervisor refused.</exception>
    /// <exception cref="GuestRamException">The host cannot give the memory.</exception>
    /// <exception cref="MachineBuildException">A device or the kernel cannot be used as configured.</exception>
    /// <exception cref="MachineLayoutException">The machine does not fit its address space.</exception>
    public static VirtualMachine Create(
        IHypervisor hypervisor,
        VmConfig config,
        ConsoleSet consoles,
        ILoggerFactory logging,
        Action<VirtualMachine, GuestRequest, string?> onRequest,
        bool plugsVcpus = false)
    {
        CpuModelProfile profile = CpuProfileSource.Load(config.Cpus);
        CpuProfileSource.ThrowIfMissing(profile, hypervisor);
        int bits = Math.Min(Math.Min(hypervisor.Capabilities.PhysicalAddressBits, config.Cpus.MaxPhysBits), profile.PhysicalBits);
        PhysicalLayout layout = PlanLayout(config, bits);
        CheckVcpuCount(hypervisor, config);
        var machine = new VirtualMachine(hypervisor, config, layout, consoles, logging, onRequest, profile, image: null);
        try
        {
            machine._plugsVcpus = plugsVcpus && layout.Profile.Acpi is not null;
            machine.Build(hypervisor, config, layout, consoles, saved: null);
            machine.LoadKernel(config, layout);
            return machine;
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }

    /// <inheritdoc cref="VirtioSet.Observe(Action{string, bool})"/>
    public void ObserveDevices(Action<string, bool> onActivity) => _virtio.Observe(onActivity);

    /// <summary>Lets the guest run.</summary>
    public void Start()
    {
        _chipset.Clock.Start();
        _vcpus.Run();
    }

    /// <summary>Stops guest code, VM time and device queues; requests in flight are finished.</summary>
    public void Pause()
    {
        _vcpus.Park();
        _virtio.Pause();
        _chipset.Clock.Stop();
        AtOneInstant(() => _pausedClock = _partition.SaveClock(), out _pausedAt);
    }

    /// <summary>Goes on after <see cref="Pause"/>; the guest's clocks continue where they stood.</summary>
    public void Resume()
    {
        if (_pausedClock is { } clock)
        {
            if (_tscRunsSince == 0)
            {
                _partition.RestoreClock(clock);
            }
            else
            {
                // A restored TSC has run since; the other clocks have to agree with it, or guests distrust one of them.
                ulong vmTime = _chipset.Clock.Nanoseconds;
                ulong since = 0;
                AtOneInstant(
                    () =>
                    {
                        since = HostNanoseconds() - _tscRunsSince;
                        _partition.RestoreClock(clock with { Nanoseconds = clock.Nanoseconds + since });
                    },
                    out _);
                _chipset.Clock.Restore(vmTime + since);
            }

            _pausedClock = null;
            _tscRunsSince = 0;
        }

        _virtio.Resume();
        Start();
        if (_wakeSerial)
        {
            _wakeSerial = false;
            _chipset.WakeSerial();
        }

        StartLoading();
    }

    /// <summary>Presses the power button; false when the machine has none.</summary>
    public bool PressPowerButton()
    {
        if (_chipset.Ged is not { } ged)
        {
            return false;
        }

        ged.Notify(GedEvents.PowerButton);
        return true;
    }

    /// <summary>Gives a disk another size; it has one of this name.</summary>
    /// <exception cref="BlockImageException">The image cannot have it; nothing has changed.</exception>
    public void ResizeDisk(string id, ulong bytes) => _virtio.ResizeDisk(id, bytes, resume: _pausedClock is null);

    /// <summary>Bytes that the guest has given up to the balloon.</summary>
    public ulong BalloonBytes => _balloon?.Counters.ActualBytes ?? 0;

    /// <summary>Asks the guest to give up so many bytes. It has a balloon.</summary>
    public void ResizeBalloon(ulong bytes) => _balloon!.Resize(bytes);

    /// <summary>Tells the guest's virtio console how large the terminal is.</summary>
    public void ResizeConsole(ushort columns, ushort rows) => _console?.Resize(columns, rows);

    public void InjectNmi() => _vcpus.InjectNmi();

    public IReadOnlyDictionary<string, IReadOnlyDictionary<string, ulong>> Counters() => DeviceCounters.Read(_virtio.Devices);

    /// <summary>The virtio devices and their transports, by id.</summary>
    public IReadOnlyDictionary<string, DeviceNode> DescribeDevices() => _virtio.Describe().ToDictionary(n => n.Id);

    /// <summary>Exit counts of each vCPU, by its index.</summary>
    public IReadOnlyList<VcpuExitCounters> ExitCounters() => _vcpus.ExitCounters();

    public void Dispose()
    {
        Interlocked.Exchange(ref _ending, 1);
        _vcpus.Dispose();
        foreach (IVirtualCpu vcpu in _spare.Values)
        {
            vcpu.Dispose();
        }

        _consoleBackend?.Disconnect();
        _virtio.Dispose();
        _backgroundLoad?.Dispose();
        _chipset.Dispose();
        _partition.Dispose();
        _memory.Dispose();
    }

    /// <summary>Devices and vCPUs. With a saved state, vCPUs are made with the CPUID that stands there.</summary>
    private void Build(IHypervisor hypervisor, VmConfig config, PhysicalLayout layout, ConsoleSet consoles, MachineState? saved)
    {
        if (hypervisor.Capabilities.OrdinaryGuestsObstacle is { } obstacle)
        {
            LogObstacle(_logger, obstacle);
        }

        _tscKhz = saved?.Vcpus[0].State.TscKhz ?? _tscKhz;
        _virtio.KeepPlaces(saved?.Virtio ?? []);
        AddDevices(config, consoles);
        _virtio.KeepPlaces([]);
        AddVcpus(hypervisor, layout, saved);
    }

    private void AddConsole(VmConfig config, ConsoleSet consoles)
    {
        // The VMM's terminal types to one device only, and the serial port comes first.
        bool hasInput = !ReferenceEquals(consoles.Console, consoles.Serial);
        _consoleBackend = consoles.Console is { } host ? new ConsoleBackend(host) : null;
        _console = new ConsoleDevice(
            config.Console.Id ?? DeviceNames.Console, (ISerialBackend?)_consoleBackend ?? new NullSerialBackend(), _logger);
        _virtio.Add(_console, config.Console.PciSegment, config.Console.PciDeviceId);
        if (hasInput)
        {
            _consoleBackend?.Connect(_console.InputReady, _console.OutputReady);
        }
    }

    private void LoadKernel(VmConfig config, PhysicalLayout layout)
    {
        _chipset.AddPciHotplug(OnEject);
        if (_plugsVcpus)
        {
            _chipset.AddCpuHotplug(_topology.Count, _vcpus.Count, OnEject);
        }

        PayloadConfig payload = config.Payload ?? throw new MachineBuildException("payload: there is no kernel to boot; give payload.kernel (--kernel)");
        AddTellers(config);
        ulong rsdp = FirmwareTables.Write(config, layout, _topology, _bootCpuid!, _virtio.MmioTransports, PlugsVcpus, _memory);
        try
        {
            using KernelFile kernel = KernelFile.Open(payload.Kernel!, "kernel");
            using KernelFile? initramfs = payload.Initramfs is { } path ? KernelFile.Open(path, "initramfs") : null;
            BootResult boot = BootLoader.Load(
                new BootRequest
                {
                    Kernel = kernel,
                    Initramfs = initramfs,
                    CommandLine = CommandLine(payload, layout.Profile),
                    Layout = layout,
                    RsdpAddress = rsdp,
                    MemoryIsZero = true,
                },
                _memory);
            LogBoot(payload.Kernel!, boot.Protocol, boot.Entry.General.Rip);
            _vcpus[0].SetEntry(boot.Entry);
        }
        catch (KernelLoadException e)
        {
            throw new MachineBuildException(e.Message, e);
        }
    }

    /// <summary>The configured command line; without ACPI it also announces the virtio-mmio transports.</summary>
    private string CommandLine(PayloadConfig payload, Profile profile)
    {
        string given = payload.Cmdline ?? "";
        return profile is { Acpi: null, VirtioMmio: { } mmio }
            ? string.Join(' ', _virtio.MmioTransports.Select(mmio.CommandLineOf).Prepend(given))
            : given;
    }

    /// <summary>Any thread. A machine that ends takes no further request.</summary>
    private void Request(GuestRequest request, string? detail)
    {
        if (request == GuestRequest.Eject)
        {
            // The machine goes on.
            _onRequest(this, request, detail);
            return;
        }

        // A guest may report its panic any number of times; one is all there is to know.
        bool isPanic = request == GuestRequest.Panic;
        if (Interlocked.Exchange(ref isPanic ? ref _panicked : ref _ending, 1) != 0)
        {
            return;
        }

        if (!isPanic)
        {
            _vcpus.RequestPark();
        }

        _onRequest(this, request, detail);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Obstacle}")]
    private static partial void LogObstacle(ILogger logger, string obstacle);

    [LoggerMessage(Level = LogLevel.Information, Message = "booting {Kernel} by {Protocol} at 0x{Entry:x}")]
    private partial void LogBoot(string kernel, BootProtocol protocol, ulong entry);

    /// <summary>The 8259 pair's output, wired to the boot vCPU's LINT0.</summary>
    private sealed class PicOutput(VirtualMachine machine) : Cnvm.Devices.Interrupts.IInterruptLine
    {
        public void SetLevel(bool asserted)
        {
            if (machine._vcpus.Count > 0)
            {
                machine._vcpus[0].SetPicOutput(asserted);
            }
        }
    }
}
