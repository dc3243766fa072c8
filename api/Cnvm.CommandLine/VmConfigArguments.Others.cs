using Cnvm.Vmm.Config;

namespace Cnvm.CommandLine;

// Devices and settings of the contract that are read here and, as long as cnvm does not have them, refused by the validator.
internal static partial class VmConfigArguments
{
    private static BalloonConfig ParseBalloon(string text)
    {
        var o = new OptionString(
            Flags.Balloon, text, "size", "deflate_on_oom", "free_page_reporting", "statistics", "id", "iommu", "pci_segment", "pci_device_id");
        return new BalloonConfig(
            Size: o.Size("size") ?? throw Wrong(Flags.Balloon, "size= is missing"),
            DeflateOnOom: o.Toggle("deflate_on_oom"),
            FreePageReporting: o.Toggle("free_page_reporting"),
            Statistics: o.Toggle("statistics"),
            Id: o.Text("id"),
            Iommu: o.Toggle("iommu"),
            PciSegment: o.UInt16("pci_segment") ?? 0,
            PciDeviceId: o.Byte("pci_device_id"));
    }

    private static DeviceConfig ParseDevice(string text)
    {
        var o = new OptionString(
            Flags.Device, text, "path", "iommu", "id", "pci_segment", "pci_device_id", "x_nv_gpudirect_clique", "x_exclude_mmap_bars");
        return new DeviceConfig(
            Path: o.Text("path"),
            XNvGpudirectClique: (sbyte?)o.Number("x_nv_gpudirect_clique", (ulong)sbyte.MaxValue),
            XExcludeMmapBars: o.Integers("x_exclude_mmap_bars")?.ConvertAll(b => (ulong)b),
            Id: o.Text("id"),
            Iommu: o.Toggle("iommu"),
            PciSegment: o.UInt16("pci_segment") ?? 0,
            PciDeviceId: o.Byte("pci_device_id"));
    }

    private static UserDeviceConfig ParseUserDevice(string text)
    {
        var o = new OptionString(Flags.UserDevice, text, "socket", "id", "pci_segment", "pci_device_id");
        return new UserDeviceConfig(
            Socket: Needed(Flags.UserDevice, o, "socket"),
            Id: o.Text("id"),
            PciSegment: o.UInt16("pci_segment") ?? 0,
            PciDeviceId: o.Byte("pci_device_id"));
    }

    internal static FsConfig ParseFs(string text)
    {
        var o = new OptionString(
            Flags.Fs, text, "tag", "path", "readonly", "cache", "socket", "num_queues", "queue_size", "id", "iommu", "pci_segment", "pci_device_id",
            "uid_map", "gid_map", "locks");
        return new FsConfig(
            Tag: Needed(Flags.Fs, o, "tag"),
            Socket: o.Text("socket"),
            Path: o.Has("socket") ? o.Text("path") : Needed(Flags.Fs, o, "path"),
            Readonly: o.Toggle("readonly"),
            Cache: o.Choice("cache", ("auto", FsCache.Auto), ("always", FsCache.Always), ("none", FsCache.None)) ?? FsCache.Auto,
            NumQueues: o.UInt16("num_queues") ?? 1,
            QueueSize: o.UInt16("queue_size") ?? FsConfig.DefaultQueueSize,
            Id: o.Text("id"),
            Iommu: o.Toggle("iommu"),
            PciSegment: o.UInt16("pci_segment") ?? 0,
            PciDeviceId: o.Byte("pci_device_id"),
            UidMap: ToIdRanges(o, "uid_map"),
            GidMap: ToIdRanges(o, "gid_map"),
            Locks: o.Toggle("locks"));
    }

    internal static List<IdRangeConfig>? ToIdRanges(OptionString o, string key) =>
        o.Triples(key)?.ConvertAll(t => new IdRangeConfig(t[0], t[1], t[2]));

    private static GenericVhostUserConfig ParseGenericVhostUser(string text)
    {
        var o = new OptionString(
            Flags.GenericVhostUser, text, "socket", "device_type", "virtio_id", "queue_sizes", "id", "pci_segment", "pci_device_id");
        return new GenericVhostUserConfig(
            Socket: Needed(Flags.GenericVhostUser, o, "socket"),
            QueueSizes: o.Integers("queue_sizes")?.ConvertAll(QueueSize),
            DeviceType: o.UInt32("device_type") ?? o.UInt32("virtio_id") ?? throw Wrong(Flags.GenericVhostUser, "device_type= is missing"),
            Id: o.Text("id"),
            PciSegment: o.UInt16("pci_segment") ?? 0,
            PciDeviceId: o.Byte("pci_device_id"));
    }

    private static ushort QueueSize(uint size) =>
        size <= ushort.MaxValue ? (ushort)size : throw Wrong(Flags.GenericVhostUser, $"queue_sizes: {size} is too large");

    private static PmemConfig ParsePmem(string text)
    {
        var o = new OptionString(Flags.Pmem, text, "file", "size", "iommu", "discard_writes", "id", "pci_segment", "pci_device_id");
        return new PmemConfig(
            File: Needed(Flags.Pmem, o, "file"),
            Size: o.Size("size"),
            DiscardWrites: o.Toggle("discard_writes"),
            Id: o.Text("id"),
            Iommu: o.Toggle("iommu"),
            PciSegment: o.UInt16("pci_segment") ?? 0,
            PciDeviceId: o.Byte("pci_device_id"));
    }

    private static VdpaConfig ParseVdpa(string text)
    {
        var o = new OptionString(Flags.Vdpa, text, "path", "num_queues", "iommu", "id", "pci_segment", "pci_device_id");
        return new VdpaConfig(
            Path: Needed(Flags.Vdpa, o, "path"),
            NumQueues: o.UInt16("num_queues") ?? 1,
            Id: o.Text("id"),
            Iommu: o.Toggle("iommu"),
            PciSegment: o.UInt16("pci_segment") ?? 0,
            PciDeviceId: o.Byte("pci_device_id"));
    }

    private static VsockConfig ParseVsock(string text)
    {
        var o = new OptionString(Flags.Vsock, text, "cid", "socket", "iommu", "id", "pci_segment", "pci_device_id");
        return new VsockConfig(
            Cid: o.UInt32("cid") ?? throw Wrong(Flags.Vsock, "cid= is missing"),
            Socket: Needed(Flags.Vsock, o, "socket"),
            Id: o.Text("id"),
            Iommu: o.Toggle("iommu"),
            PciSegment: o.UInt16("pci_segment") ?? 0,
            PciDeviceId: o.Byte("pci_device_id"));
    }

    private static RtcConfig ParseRtc(string text)
    {
        var o = new OptionString(Flags.Rtc, text, "id", "iommu", "pci_segment", "pci_device_id");
        return new RtcConfig(o.Text("id"), o.Toggle("iommu"), o.UInt16("pci_segment") ?? 0, o.Byte("pci_device_id"));
    }

    private static TpmConfig ParseTpm(string text) => new(Needed(Flags.Tpm, new OptionString(Flags.Tpm, text, "socket"), "socket"));

    private static RateLimitGroupConfig ParseRateLimitGroup(string text)
    {
        var o = new OptionString(
            Flags.RateLimitGroup, text, "id", "bw_size", "bw_one_time_burst", "bw_refill_time", "ops_size", "ops_one_time_burst", "ops_refill_time");
        return new RateLimitGroupConfig(Needed(Flags.RateLimitGroup, o, "id"), ParseRateLimiter(o));
    }

    private static LandlockConfig ParseLandlockRule(string text)
    {
        var o = new OptionString(Flags.LandlockRules, text, "path", "access");
        return new LandlockConfig(Needed(Flags.LandlockRules, o, "path"), Needed(Flags.LandlockRules, o, "access"));
    }

    private static NumaConfig ParseNuma(string text)
    {
        var o = new OptionString(Flags.Numa, text, "guest_numa_id", "cpus", "distances", "memory_zones", "pci_segments", "device_id");
        return new NumaConfig(
            GuestNumaId: o.UInt32("guest_numa_id") ?? throw Wrong(Flags.Numa, "guest_numa_id= is missing"),
            Cpus: o.Integers("cpus"),
            Distances: o.Tuples("distances")?.ConvertAll(Distance),
            MemoryZones: o.Words("memory_zones"),
            PciSegments: o.Integers("pci_segments")?.ConvertAll(Segment),
            DeviceId: o.Text("device_id"));
    }

    private static NumaDistance Distance(NumberedList tuple) =>
        tuple.Right is [<= byte.MaxValue]
            ? new NumaDistance(tuple.Left, (byte)tuple.Right[0])
            : throw Wrong(Flags.Numa, $"distances: node {tuple.Left} needs one distance from 0 to {byte.MaxValue}");

    private static PciSegmentConfig ParsePciSegment(string text)
    {
        var o = new OptionString(Flags.PciSegment, text, "pci_segment", "mmio32_aperture_weight", "mmio64_aperture_weight");
        return new PciSegmentConfig(
            PciSegment: o.UInt16("pci_segment") ?? throw Wrong(Flags.PciSegment, "pci_segment= is missing"),
            Mmio32ApertureWeight: o.UInt32("mmio32_aperture_weight") ?? 1,
            Mmio64ApertureWeight: o.UInt32("mmio64_aperture_weight") ?? 1);
    }

    private static string Needed(string flag, OptionString o, string key) => o.Text(key) ?? throw Wrong(flag, $"{key}= is missing");
}
