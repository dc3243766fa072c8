using Cnvm.Vmm.Config;

namespace Cnvm.CommandLine;

internal static partial class VmConfigArguments
{
    internal static DiskConfig ParseDisk(string text)
    {
        var o = new OptionString(
            Flags.Disk, text, "path", "readonly", "direct", "num_queues", "queue_size", "serial", "image_type", "id", "pci_segment",
            "pci_device_id", "sparse", "lock_granularity", "backing_files", "iommu", "vhost_user", "socket", "queue_affinity",
            "rate_limit_group", "bw_size", "bw_one_time_burst", "bw_refill_time", "ops_size", "ops_one_time_burst", "ops_refill_time",
            "_disable_io_uring", "_disable_aio");
        return ToDisk(o);
    }

    /// <summary>The disk that the keys describe; ones that cannot stand in <paramref name="o"/> have their defaults.</summary>
    internal static DiskConfig ToDisk(OptionString o) =>
        new(
            Path: o.Text("path"),
            Readonly: o.Toggle("readonly"),
            Direct: o.Toggle("direct"),
            NumQueues: o.UInt16("num_queues") ?? 1,
            QueueSize: o.UInt16("queue_size") ?? DiskConfig.DefaultQueueSize,
            VhostUser: o.Toggle("vhost_user"),
            VhostSocket: o.Text("socket"),
            RateLimitGroup: o.Text("rate_limit_group"),
            RateLimiterConfig: ParseRateLimiter(o),
            Serial: o.Text("serial"),
            QueueAffinity: o.Tuples("queue_affinity")?.ConvertAll(QueueAffinity),
            BackingFiles: o.Toggle("backing_files"),
            Sparse: o.Toggle("sparse", otherwise: true),
            ImageType: o.Choice(
                "image_type",
                ("raw", ImageType.Raw),
                ("qcow2", ImageType.Qcow2),
                ("vhdx", ImageType.Vhdx),
                ("fixedvhd", ImageType.FixedVhd),
                ("flatvmdk", ImageType.FlatVmdk),
                ("unknown", ImageType.Unknown)) ?? ImageType.Unknown,
            LockGranularity: o.Choice("lock_granularity", ("byte-range", LockGranularity.ByteRange), ("full", LockGranularity.Full))
                ?? LockGranularity.ByteRange,
            DisableIoUring: o.Toggle("_disable_io_uring"),
            DisableAio: o.Toggle("_disable_aio"),
            Id: o.Text("id"),
            Iommu: o.Toggle("iommu"),
            PciSegment: o.UInt16("pci_segment") ?? 0,
            PciDeviceId: o.Byte("pci_device_id"));

    private static VirtQueueAffinity QueueAffinity(NumberedList tuple) =>
        tuple.Left <= ushort.MaxValue
            ? new VirtQueueAffinity((ushort)tuple.Left, tuple.Right)
            : throw Wrong(Flags.Disk, $"queue_affinity: there is no queue {tuple.Left}");

    internal static NetConfig ParseNet(string text)
    {
        var o = new OptionString(
            Flags.Net, text, "tap", "ip", "mask", "mac", "host_mac", "fd", "mtu", "num_queues", "queue_size", "offload_tso", "offload_ufo",
            "offload_csum", "id", "pci_segment", "pci_device_id", "iommu", "vhost_user", "socket", "vhost_mode", "passt", "tcp_ports", "udp_ports", "guest_ip", "gateway", "bw_size",
            "bw_one_time_burst", "bw_refill_time", "ops_size", "ops_one_time_burst", "ops_refill_time");
        List<int>? fds = o.Integers("fd")?.ConvertAll(fd => (int)fd);
        bool isVhostUser = o.Toggle("vhost_user");
        return new NetConfig(
            Tap: o.Text("tap"),
            Ip: o.Text("ip"),
            Mask: o.Text("mask"),
            Mac: o.Text("mac"),
            HostMac: o.Text("host_mac"),
            Mtu: o.UInt16("mtu"),
            NumQueues: o.UInt16("num_queues") ?? NetConfig.DefaultNumQueues,
            QueueSize: o.UInt16("queue_size") ?? NetConfig.DefaultQueueSize,
            VhostUser: isVhostUser,
            VhostSocket: isVhostUser ? o.Text("socket") : null,
            VhostMode: o.Choice("vhost_mode", ("client", VhostMode.Client), ("server", VhostMode.Server)) ?? VhostMode.Client,
            Fds: fds,
            RateLimiterConfig: ParseRateLimiter(o),
            OffloadTso: o.Toggle("offload_tso", otherwise: true),
            OffloadUfo: o.Toggle("offload_ufo", otherwise: true),
            OffloadCsum: o.Toggle("offload_csum", otherwise: true),
            Id: o.Text("id"),
            Iommu: o.Toggle("iommu"),
            PciSegment: o.UInt16("pci_segment") ?? 0,
            PciDeviceId: o.Byte("pci_device_id"),
            Socket: isVhostUser ? null : o.Text("socket"),
            Passt: ParsePasst(o));
    }

    private static PasstConfig? ParsePasst(OptionString o)
    {
        var passt = new PasstConfig(o.Words("tcp_ports"), o.Words("udp_ports"), o.Text("guest_ip"), o.Text("gateway"));
        return o.Toggle("passt") ? passt
            : passt == new PasstConfig() ? null
            : throw Wrong(Flags.Net, "tcp_ports, udp_ports, guest_ip and gateway are for passt=on");
    }

    private static RateLimiterConfig? ParseRateLimiter(OptionString o)
    {
        TokenBucketConfig? bandwidth = ParseBucket(o, "bw");
        TokenBucketConfig? ops = ParseBucket(o, "ops");
        return bandwidth is null && ops is null ? null : new RateLimiterConfig(bandwidth, ops);
    }

    private static TokenBucketConfig? ParseBucket(OptionString o, string prefix)
    {
        ulong? size = o.Size($"{prefix}_size");
        ulong? burst = o.Size($"{prefix}_one_time_burst");
        ulong? refill = o.Number($"{prefix}_refill_time", ulong.MaxValue);
        return size is null && burst is null && refill is null ? null : new TokenBucketConfig(size ?? 0, burst, refill ?? 0);
    }

    private static RngConfig ParseRng(string text)
    {
        var o = new OptionString(Flags.Rng, text, "src", "id", "pci_segment", "pci_device_id", "iommu");
        return new RngConfig(
            Src: o.Text("src") ?? RngConfig.DefaultSrc,
            Id: o.Text("id"),
            Iommu: o.Toggle("iommu"),
            PciSegment: o.UInt16("pci_segment") ?? 0,
            PciDeviceId: o.Byte("pci_device_id"));
    }

    private static SerialConfig ParseSerial(string text)
    {
        var o = new OptionString(Flags.Serial, text, "off", "null", "pty", "tty", "file", "socket", "file_size");
        return new SerialConfig(Mode: ParseMode(Flags.Serial, o), File: o.Text("file"), Socket: o.Text("socket"), FileSize: o.Size("file_size"));
    }

    private static ConsoleConfig ParseConsole(string text)
    {
        var o = new OptionString(
            Flags.Console, text, "off", "null", "pty", "tty", "file", "socket", "id", "pci_segment", "pci_device_id", "iommu", "file_size");
        return new ConsoleConfig(
            Mode: ParseMode(Flags.Console, o),
            File: o.Text("file"),
            Socket: o.Text("socket"),
            Id: o.Text("id"),
            Iommu: o.Toggle("iommu"),
            PciSegment: o.UInt16("pci_segment") ?? 0,
            PciDeviceId: o.Byte("pci_device_id"),
            FileSize: o.Size("file_size"));
    }

    private static DebugConsoleConfig ParseDebugConsole(string text)
    {
        var o = new OptionString(Flags.DebugConsole, text, "off", "null", "pty", "tty", "file", "iobase", "file_size");
        return new DebugConsoleConfig(
            Mode: ParseMode(Flags.DebugConsole, o),
            File: o.Text("file"),
            Iobase: o.UInt16("iobase") ?? DebugConsoleConfig.DefaultIobase,
            FileSize: o.Size("file_size"));
    }

    private static ConsoleMode ParseMode(string flag, OptionString o)
    {
        ConsoleMode? mode = null;
        (string, ConsoleMode)[] words =
        [
            ("off", ConsoleMode.Off), ("null", ConsoleMode.Null), ("pty", ConsoleMode.Pty), ("tty", ConsoleMode.Tty),
            ("file", ConsoleMode.File), ("socket", ConsoleMode.Socket),
        ];
        foreach ((string word, ConsoleMode candidate) in words)
        {
            if (o.Has(word))
            {
                mode = mode is null ? candidate : throw Wrong(flag, "give one of off, null, pty, tty, file=PATH and socket=PATH");
            }
        }

        return mode ?? throw Wrong(flag, "is missing one of off, null, pty, tty, file=PATH and socket=PATH");
    }
}
