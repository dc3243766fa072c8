using Cnvm.Devices.Platform;
using Cnvm.Tests.State;
using Cnvm.Virtio;
using Cnvm.Virtio.Balloon;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Console;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.Rng;
using Cnvm.Virtio.Transport;
using Cnvm.Virtio.VhostUser;
using Cnvm.Virtio.Vsock;
using Cnvm.Virtio.Watchdog;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>A machine's state in which every element has a value that is not its default.</summary>
internal static class SampleState
{
    public static MachineState Make()
    {
        StateFiller filler = new StateFiller().With(() => (VirtioDeviceState)new RngState()).With(() => GedEvents.PowerButton)
            .With(() => new GenerationIdState(0xef000)).With(() => new CompressionState([])).With(() => Hotplug)
            .With(() => MemoryHotplug).With(() => CpuHotplug).With(() => Clock);
        MachineState state = filler.Fill<MachineState>();
        return state with
        {
            Chipset = state.Chipset with { Hotplug = null, MemoryHotplug = null, CpuHotplug = null, ClockPage = null },
            Id = [.. Enumerable.Range(1, 16).Select(i => (byte)i)],
            Memory = new MemoryState
            {
                Parent = [.. Enumerable.Range(17, 16).Select(i => (byte)i)],
                ChunkBytes = 0x2000,
                Ranges =
                [
                    new MemoryRangeState { Gpa = 0, Size = 0x3000, Zone = "", IsSaved = true, FileOffset = 0, Checksums = [1, 2], Pages = [5] },
                    new MemoryRangeState { Gpa = 0x10_0000, Size = 0x1000, Zone = "z", IsSaved = false, FileOffset = 0, Checksums = [], Pages = [] },
                ],
            },
            Vcpus = [.. state.Vcpus.Select((v, i) => v with { Index = (uint)i })],
            Virtio =
            [
                Slot(filler, "_disk0", filler.Fill<BlockState>(), pci: true),
                Slot(filler, "_net1", filler.Fill<NetState>(), pci: true),
                Slot(filler, "__rng", new RngState(), pci: false),
                Slot(filler, "__console", filler.Fill<ConsoleState>(), pci: false),
            ],
        };
    }

    /// <summary>The same with devices that the first version of the format did not know.</summary>
    public static MachineState MakeWithLaterDevices()
    {
        StateFiller filler = new StateFiller().With(() => (VirtioDeviceState)new RngState()).With(() => GedEvents.PowerButton).With<FsLocksState>(() => null!);
        MachineState state = Make();
        ChipsetState chipset = state.Chipset with { Hotplug = Hotplug };
        return state with
        {
            Chipset = chipset,
            Virtio =
            [
                .. state.Virtio,
                Slot(filler, "_vsock2", filler.Fill<VsockState>(), pci: true),
                Slot(filler, "__balloon", filler.Fill<BalloonState>(), pci: false),
                Slot(filler, "__watchdog", filler.Fill<WatchdogState>(), pci: true),
                Slot(filler, "_fs3", filler.Fill<FsState>(), pci: true),
            ],
        };
    }

    /// <summary>The same with a device that has a back end of its own.</summary>
    public static MachineState MakeWithVhostUser()
    {
        MachineState state = MakeWithLaterDevices();
        StateFiller filler = new StateFiller().With(() => (VirtioDeviceState)new RngState());
        return state with { Virtio = [.. state.Virtio, Slot(filler, "_net4", filler.Fill<VhostUserState>(), pci: true)] };
    }

    /// <summary>The same with one more shared folder, whose guest has locks on files.</summary>
    public static MachineState AddFileLocks(MachineState state)
    {
        VirtioSlotState folder = state.Virtio.Single(v => v.Id == "_fs3");
        TransportState transport = folder.Pci!.Transport;
        FsState device = ((FsState)transport.Device) with
        {
            Locks = new FsLocksState
            {
                Held =
                [
                    new FsLockState { Handle = 1, Owner = 2, Start = 3, End = 4, IsExclusive = true, IsWhole = true, Process = 5 },
                    new FsLockState { Handle = 6, Owner = 7, Start = 8, End = 9, IsExclusive = true, IsWhole = true, Process = 10 },
                ],
                Waiting = [new FsWaitState { Queue = 1, Head = 2 }, new FsWaitState { Queue = 3, Head = 4 }],
            },
        };
        folder = folder with { Id = "_fs5", Pci = folder.Pci with { Transport = transport with { Device = device } } };
        return state with { Virtio = [.. state.Virtio, folder] };
    }

    /// <summary>All there is.</summary>
    public static MachineState MakeWithAll() => AddFileLocks(MakeWithPlatform());

    /// <summary>With devices of the platform that came after those with a back end.</summary>
    public static MachineState MakeWithPlatform()
    {
        MachineState state = MakeWithVhostUser();
        return state with { Chipset = state.Chipset with { MemoryHotplug = MemoryHotplug, CpuHotplug = CpuHotplug, ClockPage = Clock } };
    }

    private static PciHotplugState Hotplug => new() { Up = [1, 2], Down = [3, 4], Ejected = [5, 6], Selected = 7 };

    private static MemoryHotplugState MemoryHotplug => new() { Starts = [1 << 20, 2 << 20], Lengths = [3, 4], Inserting = 2, Selected = 9 };

    private static CpuHotplugState CpuHotplug => new() { Vcpus = [1, 3, 13, 16, 0], Selected = 4 };

    private static ClockPageState Clock => new(0xee000, 2, 3, 4);

    private static VirtioSlotState Slot(StateFiller filler, string id, VirtioDeviceState device, bool pci)
    {
        VirtioSlotState slot = filler.Fill<VirtioSlotState>() with { Id = id };
        return pci
            ? slot with { Mmio = null, Pci = slot.Pci! with { Transport = slot.Pci.Transport with { Device = device } } }
            : slot with { Pci = null, Mmio = slot.Mmio! with { Transport = slot.Mmio.Transport with { Device = device } } };
    }
}
