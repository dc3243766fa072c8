using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;
using Cnvm.Vmm.Tests.Snapshot;

namespace Cnvm.Vmm.Tests.Memory;

/// <summary>RAM that a machine gets while it runs, with a guest that does not look for it.</summary>
public sealed class AddedMemoryTests : IDisposable
{
    private const ulong Mib = 1UL << 20;
    private const ulong Base = 64 * Mib;
    private const ulong Window = 4UL << 30;
    private readonly SnapshotService _service = new();

    public void Dispose() => _service.Dispose();

    [SkippableTheory]
    [InlineData(false, MemoryRestoreMode.OnDemand)]
    [InlineData(true, MemoryRestoreMode.Copy)]
    public void It_stays_over_snapshots_with_its_slots_and_over_reboots_in_one(bool shared, MemoryRestoreMode mode)
    {
        Start(1024 * Mib, shared);
        Assert.Equal(Base, _service.Vmm.Info().MemoryActualSize);

        // To a machine that is paused, and to one that runs.
        Grow(Base + (128 * Mib));
        _service.Vmm.Resume();
        Grow(Base + (384 * Mib));
        Assert.Equal(VmState.Running, _service.Vmm.Info().State);
        _service.Vmm.Pause();
        _service.GoesOn();
        ExpectAll(384 * Mib, [128 * Mib, 256 * Mib]);
        GuestMemory memory = _service.Vmm.Machine().Ram.Memory;
        memory.GetSpan(Window + (384 * Mib) - 8, 8).Fill(0x5a);
        string folder = _service.Take("one");
        _service.Vmm.Delete();

        _service.Vmm.Restore(new RestoreConfig($"file://{folder}", MemoryRestoreMode: mode), []);
        ExpectAll(384 * Mib, [128 * Mib, 256 * Mib]);
        memory = _service.Vmm.Machine().Ram.Memory;
        Assert.All(memory.GetSpan(Window + (384 * Mib) - 8, 8).ToArray(), b => Assert.Equal(0x5a, b));
        Assert.Equal(0, memory.GetSpan(Window, 1)[0]);
        _service.GoesOn();
        Grow(Base + (512 * Mib));
        ExpectAll(512 * Mib, [128 * Mib, 256 * Mib, 128 * Mib]);

        // What it has got it finds again when it boots; slots are free for more.
        _service.Vmm.Reboot();
        ExpectAll(512 * Mib, [512 * Mib]);
        Grow(Base + (1024 * Mib));
        ExpectAll(1024 * Mib, [512 * Mib, 512 * Mib]);
    }

    [SkippableFact]
    public void What_cannot_be_is_refused_by_name()
    {
        Start((1024 * Mib) + (3 << 20));
        Refused(Base - 4096, "only grows");
        Refused(Base + Mib, "128 MiB");
        Refused(Base + (1152 * Mib), "memory.hotplug_size");
        Refused(ulong.MaxValue - Mib + 1, "desired_ram");
        _service.Vmm.Resize(new VmResize(DesiredRam: Base));
        ExpectAll(0, []);
        for (ulong slot = 1; slot <= 8; slot++)
        {
            if (slot == 8)
            {
                Refused(Base + (1152 * Mib), "memory.hotplug_size");
            }

            Grow(Base + (slot * 128 * Mib));
        }

        Refused(Base + (1152 * Mib), "8 slots");
        ExpectAll(1024 * Mib, [.. Enumerable.Repeat(128 * Mib, 8)]);
        _service.GoesOn();
        _service.Vmm.Delete();

        Start(0);
        Refused(Base + (128 * Mib), "no memory.hotplug_size");
        _service.Vmm.Delete();
        _service.StartPaused(c => c with { Memory = new MemoryConfig(0, HotplugSize: 1024 * Mib, Zones: [new MemoryZoneConfig("a", Base)]) });
        Refused(Base + (128 * Mib), "memory.zones");
    }

    /// <summary>A reservation of more than any host has costs no memory, and nobody sees it.</summary>
    [SkippableFact]
    public void Room_costs_nothing_but_addresses()
    {
        Start(500UL << 30);
        ExpectAll(0, []);
        Assert.Equal(Base, _service.Vmm.Machine().Ram.Memory.Size);
        Assert.False(_service.Vmm.Machine().Ram.Memory.Contains(Window, 1));
        _service.GoesOn();
    }

    /// <summary>Differences are of the memory as it was when the first snapshot was taken.</summary>
    [SkippableFact]
    public void After_it_came_a_difference_needs_a_whole_snapshot_first()
    {
        Start(1024 * Mib);
        _service.Take("full", trackChanges: true);
        Grow(Base + (128 * Mib));
        Assert.Contains("RAM was added", Assert.Throws<VmmException>(() => _service.Take("lost", incremental: true)).Message, StringComparison.Ordinal);
        _service.Take("again", trackChanges: true);
        _service.GoesOn();
        _service.Vmm.Machine().Ram.Memory.GetSpan(Window + (5 << 12), 1)[0] = 9;
        _service.Vmm.Machine().Ram.Memory.MarkDirty(Window + (5 << 12), 1);
        string difference = _service.Take("difference", incremental: true);
        MemoryRangeState added = SnapshotFolder.ReadState(difference).Memory.Ranges[1];
        Assert.Equal((Window, 128 * Mib, 1UL << 5), (added.Gpa, added.Size, added.Pages[0]));
        string merged = _service.Folder("merged");
        SnapshotMerge.Merge(_service.Folder("again"), difference, merged);
        _service.Vmm.Delete();
        _service.Vmm.Restore(new RestoreConfig($"file://{merged}"), []);
        Assert.Equal(9, _service.Vmm.Machine().Ram.Memory.GetSpan(Window + (5 << 12), 1)[0]);
        _service.GoesOn();
    }

    /// <summary>A state and a configuration that do not belong together make no machine.</summary>
    [SkippableTheory]
    [InlineData("\"hotplugged_size\":268435456", "\"hotplugged_size\":134217728")]
    [InlineData("\"hotplugged_size\":268435456,", "")]
    [InlineData("\"hotplug_size\":1073741824", "\"hotplug_size\":134217728")]
    public void Another_configuration_is_refused(string from, string to)
    {
        Start(1024 * Mib);
        Grow(Base + (128 * Mib));
        Grow(Base + (256 * Mib));
        string folder = _service.Take("one");
        _service.Vmm.Delete();
        string path = Path.Combine(folder, SnapshotFiles.Config);
        string config = File.ReadAllText(path);
        Assert.Contains(from, config, StringComparison.Ordinal);
        File.WriteAllText(path, config.Replace(from, to, StringComparison.Ordinal));
        Assert.Contains("memory", _service.Refused(new RestoreConfig($"file://{folder}")), StringComparison.Ordinal);
    }

    private void Start(ulong room, bool shared = false) =>
        _service.StartPaused(c => c with { Memory = c.Memory with { Shared = shared, HotplugSize = room == 0 ? null : room } });

    private void Grow(ulong bytes) => _service.Vmm.Resize(new VmResize(DesiredRam: bytes));

    private void Refused(ulong bytes, string why)
    {
        MemoryConfig before = _service.Vmm.Info().Config.Memory;
        ConfigException e = Assert.Throws<ConfigException>(() => Grow(bytes));
        Assert.Equal(VmmErrorKind.Invalid, e.Kind);
        Assert.Contains("desired_ram", e.Message, StringComparison.Ordinal);
        Assert.Contains(why, e.Message, StringComparison.Ordinal);
        Assert.Equal(before, _service.Vmm.Info().Config.Memory);
    }

    /// <summary>Configuration, RAM, and what the guest is shown of it.</summary>
    private void ExpectAll(ulong added, ulong[] slots)
    {
        VmInfo info = _service.Vmm.Info();
        Assert.Equal((Base + added, added), (info.Config.Memory.Size, info.Config.Memory.HotpluggedSize ?? 0));
        Assert.Equal(Base + added, info.MemoryActualSize);
        VirtualMachine machine = _service.Vmm.Machine();
        Assert.Equal([Base, .. slots], machine.Ram.Memory.Regions.Select(r => r.Size));
        Assert.Equal(machine.Ram.Plan.Select(p => (p.Gpa, p.Size)), machine.Ram.Memory.Regions.Select(r => (r.Gpa, r.Size)));
        Cnvm.Devices.Platform.MemoryHotplugState? shown = StateOf(machine);
        Assert.Equal(slots, shown?.Lengths ?? []);
        Assert.Equal(machine.Ram.Memory.Regions.Skip(1).Select(r => r.Gpa), shown?.Starts ?? []);
    }

    private Cnvm.Devices.Platform.MemoryHotplugState? StateOf(VirtualMachine machine)
    {
        bool runs = _service.Vmm.Info().State == VmState.Running;
        if (runs)
        {
            _service.Vmm.Pause();
        }

        MemoryState memory = MemoryFileWriter.Plan(machine.Ram);
        memory = memory with { Ranges = [.. memory.Ranges.Select(r => r with { IsSaved = false, FileOffset = 0 })] };
        byte[] written = StateWriter.Write(machine.Save(new byte[16], "test", memory), MachineElements.Describe);
        if (runs)
        {
            _service.Vmm.Resume();
        }

        return StateReader.Read<MachineState>(written, MachineElements.Describe).Chipset.MemoryHotplug;
    }
}
