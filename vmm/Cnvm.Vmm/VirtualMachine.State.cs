using System.Diagnostics;
using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Machine;
using Cnvm.Devices;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State;
using Cnvm.Virtio.Block;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Consoles;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Snapshot;
using Microsoft.Extensions.Logging;

namespace Cnvm.Vmm;

/// <content>Saved state.</content>
internal sealed partial class VirtualMachine
{
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    // One ioctl takes a few microseconds.
    private const ulong UndisturbedNanoseconds = 20_000;
    private const int FewTries = 4;
    private const int MaxTries = 30;

    // Until it starts with the guest, and then until it is stopped with the machine.
    private BackgroundLoad? _backgroundLoad;
    private bool _isLoading;

    /// <summary>What changed since a snapshot; null while nobody records it.</summary>
    public DirtyPages? Changes { get; private set; }

    /// <summary>Records from now on what changes. Paused.</summary>
    /// <param name="parent">The snapshot that has all there is so far.</param>
    /// <exception cref="HypervisorException">The hypervisor cannot record.</exception>
    public void TrackChanges(byte[] parent)
    {
        StopTrackingChanges();
        Changes = new DirtyPages(Tracking, parent);
    }

    /// <summary>Nobody wants to know any more what changes.</summary>
    public void StopTrackingChanges()
    {
        Changes?.Dispose();
        Changes = null;
    }

    /// <summary>Why the machine cannot be saved and go on elsewhere, by the device's name; null if it can, as far as is known while it runs.</summary>
    public string? SaveObstacle() =>
        _virtio.Devices.Select(d => d.SaveObstacle is { } obstacle ? $"{d.Id}: {obstacle}" : null).FirstOrDefault(o => o is not null);

    /// <summary>Throws if the machine cannot be saved and go on elsewhere. Paused.</summary>
    /// <exception cref="MachineBuildException">A device cannot.</exception>
    public void ThrowIfUnsavable()
    {
        if (SaveObstacle() is { } obstacle)
        {
            throw new MachineBuildException(obstacle);
        }
    }

    /// <summary>Guest RAM and what is behind it, for those who write it down.</summary>
    public RamSource Ram => new(_memory, _ramPlan);

    /// <summary>Flushes the disks that the guest can write, and says how to copy their images. Paused, as long as they are written.</summary>
    /// <exception cref="BlockImageException">The host cannot flush one.</exception>
    public IReadOnlyList<SnapshotDisk> DiskCopies()
    {
        FlushDisks();
        return [.. _virtio.Devices.OfType<BlockDevice>().Where(d => !d.IsReadOnly).Select(d => new SnapshotDisk(SnapshotFiles.OfDisk(d.Id), d.CopyImage))];
    }

    /// <summary>
    /// Builds a machine from a saved state. It is paused: <see cref="Resume"/> lets the guest go on. Whether the host can run the guest
    /// at all has been checked before.
    /// </summary>
    /// <param name="image">Contents of the memory.</param>
    /// <param name="age">By how many nanoseconds the machine's clocks have gone on, asked when everything is made; null: not at all.</param>
    /// <exception cref="MachineBuildException">The state does not fit the configuration.</exception>
    /// <exception cref="DeviceStateException">The state of a device does not fit it.</exception>
    /// <exception cref="HypervisorException">The hypervisor refused.</exception>
    /// <exception cref="SnapshotException">The memory file is damaged.</exception>
    public static VirtualMachine Restore(
        IHypervisor hypervisor,
        VmConfig config,
        ConsoleSet consoles,
        ILoggerFactory logging,
        Action<VirtualMachine, GuestRequest, string?> onRequest,
        MachineState state,
        MemoryImage image,
        Func<ulong>? age = null)
    {
        VirtualMachine machine = Prepare(
            hypervisor, config, consoles, logging, onRequest, state.Profile, GuestPromise.Of(state),
            Array.ConvertAll(state.Memory.Ranges, static r => new AddressRange(r.Gpa, r.Size)), image, handed: null, out Action<MachineState, Func<ulong>?> complete);
        try
        {
            complete(state, age);
            machine._backgroundLoad = image.LoadInBackground(
                machine._memory, damage => machine.Request(GuestRequest.Damaged, damage), machine._logger);
            return machine;
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }

    /// <summary>The guest is told that it is one of those that went on from a snapshot. Paused; nothing happens without the devices.</summary>
    /// <param name="id">16 random bytes.</param>
    public void ChangeGeneration(ReadOnlySpan<byte> id)
    {
        _chipset.GenerationId?.Change(id);
        _chipset.ClockPage?.Disrupt(isAnotherGeneration: true);
    }

    /// <summary>
    /// Makes the memory and the partition of a machine whose state comes later. Whether the host can run the guest at all has been checked
    /// before.
    /// </summary>
    /// <param name="profileName">Machine profile that the state will be of.</param>
    /// <param name="promise">What the guest was shown.</param>
    /// <param name="ranges">All its RAM.</param>
    /// <param name="image">Contents of the memory; null if somebody else brings them, and prefaults what is to be.</param>
    /// <param name="handed">The memory itself, from another process; null if it is to be made.</param>
    /// <param name="complete">
    /// Makes devices and vCPUs and gives them their state, with its clocks gone on by as many nanoseconds as are said at that moment (null: none); throws what
    /// <see cref="Restore"/> does. Call it once.
    /// </param>
    /// <exception cref="MachineBuildException">The promise does not fit the configuration.</exception>
    /// <exception cref="HypervisorException">The hypervisor refused.</exception>
    /// <exception cref="SnapshotException">The memory file is damaged.</exception>
    public static VirtualMachine Prepare(
        IHypervisor hypervisor,
        VmConfig config,
        ConsoleSet consoles,
        ILoggerFactory logging,
        Action<VirtualMachine, GuestRequest, string?> onRequest,
        string profileName,
        GuestPromise promise,
        IReadOnlyList<AddressRange> ranges,
        MemoryImage? image,
        HandedMemory? handed,
        out Action<MachineState, Func<ulong>?> complete)
    {
        // The memory map follows from the width of addresses that the guest was shown, whatever this host has.
        PhysicalLayout layout = PlanLayout(config, CpuidModel.PhysicalBits(promise.Cpuid, config.Cpus.MaxPhysBits));
        CheckVcpuCount(hypervisor, config);
        if (layout.Profile.Name != profileName)
        {
            throw new MachineBuildException($"the saved state is of a {profileName} machine, the configuration describes a {layout.Profile.Name} machine");
        }

        // The most that there can be, or all that there are where they do not come and go.
        if (config.Cpus.MaxVcpus != promise.Vcpus && config.Cpus.BootVcpus != promise.Vcpus)
        {
            throw new MachineBuildException($"cpus.boot_vcpus: {config.Cpus.BootVcpus} vCPUs; the saved state has {promise.Vcpus}");
        }

        // The guest keeps what it was shown: of the profile only the name is of use here.
        CpuModelProfile profile = CpuModelProfile.Host with { Name = promise.CpuProfile };
        var machine = new VirtualMachine(hypervisor, config, layout, consoles, logging, onRequest, profile, image, ranges, handed, prefaults: image is not null);
        complete = (state, age) =>
        {
            machine.CheckPresent(state);
            machine._plugsVcpus = state.Chipset.CpuHotplug is not null;
            machine.Build(hypervisor, config, layout, consoles, state);
            machine.Apply(age is null ? state : ClockAdvance.By(state, age()));
        };
        return machine;
    }

    /// <summary>Everything but the memory's contents; nothing changes. Paused.</summary>
    /// <param name="memory">Where the memory's contents have been put.</param>
    public MachineState Save(byte[] id, string producer, MemoryState memory)
    {
        // Devices first: what they still raise is then part of the local APICs' state.
        ChipsetState chipset = _chipset.Save();
        VirtioSlotState[] virtio = _virtio.Save();
        var vcpus = new VcpuState[_vcpus.Count];
        for (int i = 0; i < vcpus.Length; i++)
        {
            vcpus[i] = _vcpus[i].Save();
        }

        vcpus = [.. TscAlignment.ToInstant(vcpus, _pausedAt).Select(AsPromised)];
        return new MachineState
        {
            Producer = producer,
            Hypervisor = _hypervisorName,
            Profile = _profileName,
            CpuProfile = _cpuProfile,
            Id = id,
            Memory = memory,
            Clock = _pausedClock ?? throw new InvalidOperationException("a machine is saved while it runs"),
            VmTime = _chipset.Clock.Nanoseconds,
            Vcpus = [.. vcpus.Select((s, i) => new VcpuSlotState((uint)_vcpus[i].Index, _topology.ApicIdOf(_vcpus[i].Index), s))],
            Chipset = chipset,
            Virtio = virtio,
        };
    }

    /// <summary>
    /// With the frequency that the guest was promised: a host that cannot scale its TSC names its own, which may differ a little, and from host to
    /// host the differences would add up.
    /// </summary>
    private VcpuState AsPromised(VcpuState vcpu) => _tscKhz != 0 ? vcpu with { TscKhz = _tscKhz } : vcpu;

    /// <summary>Host monotonic time, as backends stamp a TSC with it.</summary>
    private static ulong HostNanoseconds() => Stopwatch.Frequency == (long)NanosecondsPerSecond
        ? (ulong)Stopwatch.GetTimestamp()
        : (ulong)((UInt128)(ulong)Stopwatch.GetTimestamp() * NanosecondsPerSecond / (ulong)Stopwatch.Frequency);

    /// <summary>What a guest that boots is to learn by of restores and moves.</summary>
    private void AddTellers(VmConfig config)
    {
        if (config.HasGenerationId)
        {
            _chipset.AddGenerationId(_memory);
            _chipset.GenerationId?.Set(RandomId.Make());
        }

        if (config.HasClockPage)
        {
            _chipset.AddClockPage(_memory);
            _chipset.ClockPage?.Initialize();
        }
    }

    private void StartLoading()
    {
        if (!_isLoading)
        {
            _isLoading = true;
            _backgroundLoad?.Start();
        }
    }

    /// <summary>
    /// Reads or sets a clock at a host time that is known: again when this thread was interrupted meanwhile, until it takes about as long
    /// as the shortest of the tries before.
    /// </summary>
    /// <param name="access">What it did last counts.</param>
    private static void AtOneInstant(Action access, out ulong instant)
    {
        ulong shortest = ulong.MaxValue;
        for (int tries = 1; ; tries++)
        {
            ulong before = HostNanoseconds();
            access();
            ulong took = HostNanoseconds() - before;
            instant = before + (took / 2);
            if (took <= UndisturbedNanoseconds || (tries >= FewTries && took <= shortest + (shortest / 2)) || tries == MaxTries)
            {
                return;
            }

            shortest = Math.Min(shortest, took);
        }
    }

    /// <summary>vCPUs before devices: an interrupt that a device raises while it is restored reaches an APIC that keeps it.</summary>
    private void Apply(MachineState state)
    {
        for (int i = 0; i < state.Vcpus.Length; i++)
        {
            ulong before = HostNanoseconds();
            _vcpus[i].Restore(state.Vcpus[i].State);
            if (i == 0)
            {
                ulong tsc = _vcpus[0].ReadTsc(out ulong timestamp);
                _tscRunsSince = TscAlignment.RunsSince(state.Vcpus[0].State, tsc, timestamp, before, HostNanoseconds());
            }
        }

        // Saved once more before it runs, the machine is still at the instant at which it was saved.
        _pausedAt = _tscRunsSince;

        if (state.Chipset.Hotplug is not null)
        {
            _chipset.AddPciHotplug(OnEject);
        }

        if (_plugsVcpus)
        {
            _chipset.AddCpuHotplug(_topology.Count, 1, OnEject);
        }

        if (state.Chipset.GenerationId is not null)
        {
            // Whether the guest's tables know of it was decided when it booted, whatever the configuration says now.
            _chipset.AddGenerationId(_memory);
        }

        if (state.Chipset.ClockPage is not null)
        {
            _chipset.AddClockPage(_memory);
        }

        _chipset.Clock.Restore(state.VmTime);
        _chipset.Restore(state.Chipset);
        _virtio.Restore(state.Virtio);
        _pausedClock = state.Clock;
        _partition.RestoreClock(state.Clock);
        _wakeSerial = true;
    }
}
