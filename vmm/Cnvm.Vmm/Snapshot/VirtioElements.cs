using Cnvm.Hypervisor.State.Format;
using Cnvm.Virtio;
using Cnvm.Virtio.Balloon;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Console;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.Rng;
using Cnvm.Virtio.Transport;
using Cnvm.Virtio.VhostUser;
using Cnvm.Virtio.Vsock;
using Cnvm.Virtio.Watchdog;

namespace Cnvm.Vmm.Snapshot;

/// <summary>The elements of virtio devices' and transports' state (FORMAT.md, "Virtio").</summary>
internal static class VirtioElements
{
    public static VirtioSlotState Describe(StateVisitor v, VirtioSlotState? s)
    {
        var slot = new VirtioSlotState
        {
            Id = v.Text(1, "id", s?.Id),
            DeviceType = v.U16(2, "device_type", s?.DeviceType),
            Place = v.U32(3, "place", s?.Place),
            Pci = v.Optional(4, "pci", s?.Pci, Pci),
            Mmio = v.Optional(5, "mmio", s?.Mmio, Mmio),
        };
        v.Require(slot.Pci is null != slot.Mmio is null, $"{slot.Id} has no transport, or two");
        return slot;
    }

    private static PciTransportState Pci(StateVisitor v, PciTransportState? s) => new()
    {
        Function = v.Record(1, "function", s?.Function, ChipsetElements.PciFunction),
        Transport = v.Record(2, "transport", s?.Transport, Transport),
        ConfigVector = v.U16(3, "config_vector", s?.ConfigVector),
        QueueVectors = Array.ConvertAll(v.U64List(4, "queue_vectors", s is null ? null : Array.ConvertAll(s.QueueVectors, q => (ulong)q)), q => Narrow(v, q)),
        Isr = v.U8(5, "isr", s?.Isr),
    };

    private static MmioTransportState Mmio(StateVisitor v, MmioTransportState? s) => new()
    {
        Transport = v.Record(1, "transport", s?.Transport, Transport),
        InterruptStatus = v.U8(2, "interrupt_status", s?.InterruptStatus),
    };

    private static ushort Narrow(StateVisitor v, ulong vector)
    {
        v.Require(vector <= ushort.MaxValue, $"vector {vector} is no 16-bit number");
        return (ushort)vector;
    }

    private static TransportState Transport(StateVisitor v, TransportState? s) => new()
    {
        Status = v.U8(1, "status", s?.Status),
        OfferedFeatures = v.U64(2, "offered_features", s?.OfferedFeatures),
        DriverFeatures = v.U64(3, "driver_features", s?.DriverFeatures),
        DeviceFeatureSelect = v.U32(4, "device_feature_select", s?.DeviceFeatureSelect),
        DriverFeatureSelect = v.U32(5, "driver_feature_select", s?.DriverFeatureSelect),
        QueueSelect = v.U16(6, "queue_select", s?.QueueSelect),
        ConfigGeneration = v.U32(7, "config_generation", s?.ConfigGeneration),
        Queues = v.List(8, "queues", s?.Queues, Queue),
        Device = v.Record(9, "device", s?.Device, Device),
    };

    private static QueueState Queue(StateVisitor v, QueueState? s) => new()
    {
        Size = v.U16(1, "size", s?.Size),
        Enabled = v.Bool(2, "enabled", s?.Enabled),
        DescriptorTable = v.U64(3, "descriptors", s?.DescriptorTable),
        AvailRing = v.U64(4, "avail", s?.AvailRing),
        UsedRing = v.U64(5, "used", s?.UsedRing),
        NextAvail = v.U16(6, "next_avail", s?.NextAvail),
        NextUsed = v.U16(7, "next_used", s?.NextUsed),
    };

    /// <summary>The kinds of devices, each in an element of its own; one of them is there.</summary>
    private static VirtioDeviceState Device(StateVisitor v, VirtioDeviceState? s)
    {
        VirtioDeviceState?[] kinds =
        [
            v.Optional(1, "block", s as BlockState, Block),
            v.Optional(2, "net", s as NetState, Net),
            v.Optional(3, "rng", s as RngState, static (_, _) => new RngState()),
            v.Optional(4, "console", s as ConsoleState, Console),
            v.Optional(5, "vsock", s as VsockState, Vsock),
            v.Optional(6, "balloon", s as BalloonState, Balloon),
            v.Optional(7, "watchdog", s as WatchdogState, Watchdog),
            v.Optional(8, "fs", s as FsState, Fs),
            v.Optional(9, "vhost_user", s as VhostUserState, VhostUser),
        ];
        VirtioDeviceState[] there = [.. kinds.OfType<VirtioDeviceState>()];
        v.Require(there.Length == 1, $"{there.Length} kinds of device in one");
        return there.Length == 1 ? there[0] : throw new InvalidOperationException($"{s?.GetType().Name} has no elements");
    }

    private static BlockState Block(StateVisitor v, BlockState? s) => new()
    {
        IsWriteBack = v.Bool(1, "write_back", s?.IsWriteBack),
        Sectors = v.U64(2, "sectors", s?.Sectors),
    };

    private static NetState Net(StateVisitor v, NetState? s) => new()
    {
        ActivePairs = (int)v.U32(1, "active_pairs", (uint?)s?.ActivePairs),
        GuestOffloads = v.U64(2, "guest_offloads", s?.GuestOffloads),
        IsAnnouncing = v.Bool(3, "announcing", s?.IsAnnouncing),
    };

    private static VsockState Vsock(StateVisitor v, VsockState? s) => new() { Cid = v.U32(1, "cid", s?.Cid) };

    private static BalloonState Balloon(StateVisitor v, BalloonState? s) => new()
    {
        TargetPages = v.U32(1, "target_pages", s?.TargetPages),
        ActualPages = v.U32(2, "actual_pages", s?.ActualPages),
    };

    private static WatchdogState Watchdog(StateVisitor v, WatchdogState? s) => new() { IsArmed = v.Bool(1, "armed", s?.IsArmed) };

    private static VhostUserState VhostUser(StateVisitor v, VhostUserState? s) => new()
    {
        Configuration = v.Bytes(1, "config", s?.Configuration),
        ActivePairs = v.U32(2, "active_pairs", s?.ActivePairs),
    };

    private static FsState Fs(StateVisitor v, FsState? s) => new()
    {
        Tag = v.Text(1, "tag", s?.Tag),
        Minor = v.U32(2, "minor", s?.Minor),
        Flags = v.U32(3, "flags", s?.Flags),
        RootDevice = v.U64(4, "root_dev", s?.RootDevice),
        RootInode = v.U64(5, "root_ino", s?.RootInode),
        NextNode = v.U64(6, "next_node", s?.NextNode),
        NextHandle = v.U64(7, "next_handle", s?.NextHandle),
        Nodes = v.List(8, "nodes", s?.Nodes, FsNode),
        Handles = v.List(9, "handles", s?.Handles, FsHandle),
        Locks = v.Optional(10, "locks", s?.Locks, FsLocks),
    };

    private static FsLocksState FsLocks(StateVisitor v, FsLocksState? s) => new()
    {
        Held = v.List(1, "held", s?.Held, FsLock),
        Waiting = v.List(2, "waiting", s?.Waiting, FsWait),
    };

    private static FsLockState FsLock(StateVisitor v, FsLockState? s) => new()
    {
        Handle = v.U64(1, "handle", s?.Handle),
        Owner = v.U64(2, "owner", s?.Owner),
        Start = v.U64(3, "start", s?.Start),
        End = v.U64(4, "end", s?.End),
        IsExclusive = v.Bool(5, "exclusive", s?.IsExclusive),
        IsWhole = v.Bool(6, "whole", s?.IsWhole),
        Process = v.U32(7, "process", s?.Process),
    };

    private static FsWaitState FsWait(StateVisitor v, FsWaitState? s) => new()
    {
        Queue = v.U16(1, "queue", s?.Queue),
        Head = v.U16(2, "head", s?.Head),
    };

    private static FsNodeState FsNode(StateVisitor v, FsNodeState? s) => new()
    {
        Id = v.U64(1, "id", s?.Id),
        Lookups = v.U64(2, "n", s?.Lookups),
        Type = v.U32(3, "t", s?.Type),
        Device = v.U64(4, "dev", s?.Device),
        Inode = v.U64(5, "ino", s?.Inode),
        Path = v.Bytes(6, "path", s?.Path),
    };

    private static FsHandleState FsHandle(StateVisitor v, FsHandleState? s) => new()
    {
        Id = v.U64(1, "id", s?.Id),
        Node = v.U64(2, "node", s?.Node),
        Flags = v.U32(3, "flags", s?.Flags),
        IsDirectory = v.Bool(4, "directory", s?.IsDirectory),
    };

    private static ConsoleState Console(StateVisitor v, ConsoleState? s) => new()
    {
        Columns = v.U16(1, "columns", s?.Columns),
        Rows = v.U16(2, "rows", s?.Rows),
        TransmittedBytes = v.U32(3, "transmitted_bytes", s?.TransmittedBytes),
    };
}
