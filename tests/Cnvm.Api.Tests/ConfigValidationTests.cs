using Cnvm.Vmm;
using Cnvm.Vmm.Config;

namespace Cnvm.Api.Tests;

/// <summary>What the validator refuses, and that it names the field.</summary>
public sealed class ConfigValidationTests
{
    private static readonly VmConfig Good = new(
        Cpus: new CpusConfig(4, 4),
        Payload: new PayloadConfig(Kernel: "/k"),
        Disks: [new DiskConfig("/a"), new DiskConfig("/b", NumQueues: 4)],
        Net: [new NetConfig(NumQueues: 8), new NetConfig("tap1", "192.168.1.1", "255.255.255.0", "2e:89:a8:e4:bf:0d", Mtu: 1500)]);

    public static TheoryData<string, string> Refused { get; } = new()
    {
        { "cpus.boot_vcpus", "0 vCPUs" },
        { "cpus.max_vcpus", "8193" },
        { "cpus.max_vcpus", "less than" },
        { "cpus.topology", "is 8" },
        { "cpus.affinity[1].vcpu", "listed twice" },
        { "cpus.affinity[0].vcpu", "no vCPU 4" },
        { "cpus.max_phys_bits", "60" },
        { "cpus.features.amx", "AMX" },
        { "memory.size", "is 0" },
        { "memory.size", "multiple" },
        { "memory.size", "do not fit" },
        { "memory.size", "not enough" },
        { "memory.size", "must be 0" },
        { "memory.shared", "each of memory.zones" },
        { "memory.hotplug_size", "do not fit" },
        { "memory.hotplug_method", "virtio-mem" },
        { "memory.hotplugged_size", "more than memory.hotplug_size" },
        { "memory.hotplugged_size", "without zones" },
        { "memory.hotplugged_size", "128 MiB" },
        { "memory.hotplugged_size", "huge page" },
        { "memory.hotplugged_size", "must be more" },
        { "memory.zones[0].hotplug_size", "hotplug" },
        { "memory.zones[1].id", "earlier zone" },
        { "memory.zones[0].hugepage_size", "hugepages on" },
        { "memory.zones[0].host_numa_node", "NUMA" },
        { "memory.hugepage_size", "huge page" },
        { "payload.kernel", "missing" },
        { "payload.firmware", "firmware" },
        { "disks[0].path", "missing" },
        { "disks[1].path", "disks[0] already" },
        { "disks[0].num_queues", "5" },
        { "disks[0].num_queues", "0" },
        { "disks[0].queue_size", "100" },
        { "disks[0].serial", "20" },
        { "disks[0].image_type", "FlatVmdk" },
        { "disks[0].iommu", "IOMMU" },
        { "disks[0].pci_segment", "no segment 1" },
        { "disks[0].pci_device_id", "32" },
        { "disks[1].pci_device_id", "slot 3" },
        { "disks[0].id", "__" },
        { "disks[1].id", "earlier device" },
        { "net[0].num_queues", "3" },
        { "net[0].num_queues", "5 queue pairs" },
        { "net[0].num_queues", "descriptors (2)" },
        { "net[0].mtu", "1279" },
        { "net[0].mac", "unicast" },
        { "net[0].ip", "not an IP" },
        { "net[0].mask", "family" },
        { "net[0].tap", "interface name" },
        { "net[1].tap", "earlier interface" },
        { "net[0].vhost_socket", "vhost_user" },
        { "net[0].vhost_socket", "0" },
        { "net[0].rate_limiter_config", "back end" },
        { "net[0].socket", "not 0" },
        { "net[0].vhost_user", "vhost_socket" },
        { "net[0].vhost_mode", "stream socket" },
        { "net[0].fds", "no TAP" },
        { "net[0].ip", "stream socket" },
        { "net[0].host_mac", "stream socket" },
        { "net[0].num_queues", "one pair" },
        { "disks[0].vhost_socket", "109" },
        { "disks[0].path", "back end" },
        { "disks[0].serial", "back end" },
        { "memory.shared", "disks[0]" },
        { "memory.shared", "zone" },
        { "memory.zones", "cut off" },
        { "console.mode", "Tty" },
        { "console.mode", "Socket" },
        { "serial.file", "missing" },
        { "serial.socket", "missing" },
        { "serial.file_size", "65536" },
        { "serial.file_size", "mode File" },
        { "rng.src", "empty" },
        { "platform.num_pci_segments", "97" },
        { "platform.system_uuid", "form" },
        { "platform.oem_strings[0]", "ASCII" },
        { "disks[0].queue_affinity[0].queue_index", "no queue 1" },
        { "disks[0].queue_affinity[1].queue_index", "twice" },
        { "disks[0].queue_affinity[0].host_cpus", "8191" },
        { "disks[0].rate_limiter_config.bandwidth.size", "0" },
        { "disks[0].rate_limiter_config.ops.refill_time", "0" },
        { "net[0].rate_limiter_config.ops.size", "0" },
        { "disks[0].rate_limit_group", "no group 'h'" },
        { "disks[0].rate_limit_group", "both" },
        { "rate_limit_groups[0].id", "empty" },
        { "rate_limit_groups[1].id", "earlier group" },
        { "rate_limit_groups[0].rate_limiter_config.bandwidth.refill_time", "0" },
        { "balloon.size", "multiple" },
        { "balloon.size", "more than" },
        { "vsock.cid", "2 is not" },
        { "vsock.cid", "4294967295" },
        { "vsock.socket", "0" },
        { "vsock.socket", "109" },
        { "vsock.iommu", "IOMMU" },
        { "fs[0].tag", "0" },
        { "fs[0].tag", "37" },
        { "fs[1].tag", "earlier" },
        { "fs[0].path", "missing" },
        { "fs[0].socket", "108" },
        { "fs[0].readonly", "back end" },
        { "fs[0].num_queues", "5" },
        { "fs[0].queue_size", "100" },
        { "fs[0].queue_size", "below" },
        { "fs[0].iommu", "IOMMU" },
        { "fs[0].uid_map", "0 ranges" },
        { "fs[0].uid_map", "back end" },
        { "fs[0].gid_map", "back end" },
        { "fs[0].locks", "back end" },
        { "fs[0].uid_map[0]", "4294967295" },
        { "fs[0].gid_map[1]", "overlaps" },
        { "fs[0].gid_map[2]", "at least one" },
        { "tpm", "TPM" },
    };

    [Fact]
    public void A_good_configuration_has_no_problems() => Assert.Empty(VmConfigValidator.Validate(Good));

    [Theory]
    [MemberData(nameof(Refused))]
    public void Each_problem_is_found_and_named(string field, string part)
    {
        IReadOnlyList<ConfigProblem> problems = VmConfigValidator.Validate(Broken(field, part));
        Assert.Contains(problems, p => p.Field == field && p.Message.Contains(part, StringComparison.Ordinal));
    }

    [Fact]
    public void All_problems_are_told_at_once()
    {
        ConfigException e = Assert.Throws<ConfigException>(() =>
            VmConfigValidator.ThrowIfInvalid(new VmConfig(Memory: new MemoryConfig(0), Iommu: true)));
        Assert.Equal(["iommu", "memory.size", "payload.kernel"], e.Problems.Select(p => p.Field));
        Assert.Equal(VmmErrorKind.Invalid, e.Kind);
    }

    [Fact]
    public void Only_conflicts_make_a_conflict()
    {
        VmConfig twice = Good with { Disks = [new DiskConfig("/a"), new DiskConfig("/x/../a")] };
        Assert.Equal(VmmErrorKind.Conflict, Assert.Throws<ConfigException>(() => VmConfigValidator.ThrowIfInvalid(twice)).Kind);
        VmConfig both = twice with { Iommu = true };
        Assert.Equal(VmmErrorKind.Invalid, Assert.Throws<ConfigException>(() => VmConfigValidator.ThrowIfInvalid(both)).Kind);
    }

    [Fact]
    public void Two_read_only_disks_may_share_a_file() =>
        Assert.Empty(VmConfigValidator.Validate(Good with { Disks = [new DiskConfig("/a", Readonly: true), new DiskConfig("/a", Readonly: true)] }));

    [Fact]
    public void Zones_are_taken_with_size_zero() =>
        Assert.Empty(VmConfigValidator.Validate(Good with
        {
            Memory = new MemoryConfig(0, Zones: [new MemoryZoneConfig("a", 1UL << 30), new MemoryZoneConfig("b", 1UL << 30, "/dev/shm/x", Shared: true)]),
        }));

    /// <summary>Room beside zones is for nothing but may be asked for, and sizes that are no multiple of anything leave room for so much.</summary>
    [Fact]
    public void Room_for_more_memory_is_taken() => Assert.All(
        new MemoryConfig[]
        {
            new(HotplugSize: 0),
            new(HotplugSize: 8UL << 30, HotpluggedSize: 0),
            new(HotplugSize: (500UL << 30) + (2UL << 20)),
            new(1UL << 30, HotplugSize: 1UL << 30, HotpluggedSize: 512UL << 20),
            new(0, HotplugSize: 8UL << 30, Zones: [new MemoryZoneConfig("a", 1UL << 30)]),
        },
        memory => Assert.Empty(VmConfigValidator.Validate(Good with { Memory = memory })));

    [Fact]
    public void Sums_that_overflow_do_not_pass() =>
        Assert.Contains(
            VmConfigValidator.Validate(Good with
            {
                Memory = new MemoryConfig(0, Zones: [new MemoryZoneConfig("a", 1UL << 63), new MemoryZoneConfig("b", 1UL << 63)]),
            }),
            p => p.Message.Contains("do not fit", StringComparison.Ordinal));

    [Fact]
    public void Names_are_numbered_by_one_counter_and_avoid_given_ones()
    {
        var names = new DeviceNames();
        VmConfig config = names.AssignTo(Good with
        {
            Disks = [new DiskConfig("/a"), new DiskConfig("/b", Id: "root"), new DiskConfig("/c")],
            Net = [new NetConfig(), new NetConfig(Id: "_net3"), new NetConfig()],
        });
        Assert.Equal(["_disk0", "root", "_disk1"], config.Disks!.Select(d => d.Id));
        Assert.Equal(["_net2", "_net3", "_net4"], config.Net!.Select(n => n.Id));
        Assert.Equal("_disk5", names.Next(DeviceNames.DiskPrefix));
        Assert.False(names.Take("root"));
        Assert.Same(config.Rng, names.AssignTo(config).Rng);
    }

    private static VmConfig Broken(string field, string part)
    {
        DiskConfig disk = new("/a");
        NetConfig net = new();
        CpusConfig cpus = Good.Cpus;
        MemoryZoneConfig zone = new("a", 1UL << 30);
        VmConfig Disk(params DiskConfig[] disks) => Good with { Disks = disks };
        VmConfig Net(params NetConfig[] nets) => Good with { Net = nets };
        FsConfig fs = new("t", Path: "/f");
        VmConfig Fs(params FsConfig[] folders) => Good with { Fs = folders };
        VmConfig Memory(MemoryConfig memory) => Good with { Memory = memory };
        VmConfig Platform(PlatformConfig platform) => Good with { Platform = platform };
        return (field, part) switch
        {
            ("memory.shared", "zone") => Disk(disk with { VhostUser = true, VhostSocket = "/s" }) with { Memory = new MemoryConfig(0, Zones: [new("a", 1 << 28, Shared: true), new("b", 1 << 28)]) },
            ("memory.zones", "cut off") => Disk(disk with { Path = null, VhostUser = true, VhostSocket = "/s" }) with { Memory = new MemoryConfig(0, Zones: [new("a", 1 << 28, "/dev/shm/x", Shared: true)]) },
            ("memory.shared", "disks[0]") => Disk(disk with { Path = null, VhostUser = true, VhostSocket = "/s" }),
            ("cpus.boot_vcpus", _) => Good with { Cpus = new CpusConfig(0, 0), Disks = null, Net = null },
            ("cpus.max_vcpus", "8193") => Good with { Cpus = cpus with { MaxVcpus = 8193 } },
            ("cpus.max_vcpus", _) => Good with { Cpus = cpus with { MaxVcpus = 3 } },
            ("cpus.topology", _) => Good with { Cpus = cpus with { Topology = new CpuTopology(2, 4) } },
            ("cpus.affinity[1].vcpu", _) => Good with { Cpus = cpus with { Affinity = [new CpuAffinity(0, [0]), new CpuAffinity(0, [1])] } },
            ("cpus.affinity[0].vcpu", _) => Good with { Cpus = cpus with { Affinity = [new CpuAffinity(4, [0])] } },
            ("cpus.max_phys_bits", _) => Good with { Cpus = cpus with { MaxPhysBits = 60 } },
            ("cpus.features.amx", _) => Good with { Cpus = cpus with { Features = new CpuFeatures(true) } },
            ("fs[0].tag", "0") => Fs(fs with { Tag = "" }),
            ("fs[0].tag", _) => Fs(fs with { Tag = new string('t', 37) }),
            ("fs[1].tag", _) => Fs(fs, fs with { Path = "/g" }),
            ("fs[0].path", _) => Fs(fs with { Path = null }),
            ("fs[0].socket", _) => Fs(new FsConfig("t", new string('s', 108))),
            ("fs[0].readonly", _) => Fs(new FsConfig("t", "/s", Readonly: true)),
            ("fs[0].num_queues", _) => Fs(fs with { NumQueues = 5 }),
            ("fs[0].queue_size", "100") => Fs(fs with { QueueSize = 100 }),
            ("fs[0].queue_size", _) => Fs(fs with { QueueSize = 8 }),
            ("fs[0].uid_map", "back end") => Fs(new FsConfig("t", "/s", UidMap: [new IdRangeConfig(0, 1, 1)])),
            ("fs[0].gid_map", "back end") => Fs(new FsConfig("t", "/s", GidMap: [new IdRangeConfig(0, 1, 1)])),
            ("fs[0].locks", _) => Fs(new FsConfig("t", "/s", Locks: true)),
            ("fs[0].uid_map", _) => Fs(fs with { UidMap = [] }),
            ("fs[0].uid_map[0]", _) => Fs(fs with { UidMap = [new IdRangeConfig(0, 1, uint.MaxValue)] }),
            ("fs[0].gid_map[1]", _) => Fs(fs with { GidMap = [new IdRangeConfig(0, 10, 10), new IdRangeConfig(10, 19, 1)] }),
            ("fs[0].gid_map[2]", _) => Fs(fs with { GidMap = [new IdRangeConfig(0, 10, 10), new IdRangeConfig(10, 20, 1), new IdRangeConfig(20, 30, 0)] }),
            ("fs[0].iommu", _) => Fs(fs with { Iommu = true }),
            ("memory.size", "is 0") => Memory(new MemoryConfig(0)),
            ("memory.size", "multiple") => Memory(new MemoryConfig((1UL << 30) + 1)),
            ("memory.size", "do not fit") => Memory(new MemoryConfig(1UL << 46)),
            ("memory.size", "not enough") => Memory(new MemoryConfig(1UL << 20)),
            ("memory.size", "must be 0") => Memory(new MemoryConfig(1UL << 30, Zones: [zone])),
            ("memory.hotplug_size", _) => Memory(new MemoryConfig(1UL << 30, HotplugSize: 1UL << 46)),
            ("memory.hotplug_method", _) => Memory(new MemoryConfig(1UL << 30, HotplugMethod: HotplugMethod.VirtioMem, HotplugSize: 1UL << 30)),
            ("memory.hotplugged_size", "more than memory.hotplug_size") => Memory(new MemoryConfig(1UL << 30, HotpluggedSize: 128UL << 20)),
            ("memory.hotplugged_size", "without zones") => Memory(new MemoryConfig(0, HotplugSize: 1UL << 30, HotpluggedSize: 128UL << 20, Zones: [zone])),
            ("memory.hotplugged_size", "128 MiB") => Memory(new MemoryConfig(1UL << 30, HotplugSize: 1UL << 30, HotpluggedSize: 64UL << 20)),
            ("memory.hotplugged_size", "huge page") => Memory(
                new MemoryConfig(2UL << 30, HotplugSize: 1UL << 30, HotpluggedSize: 128UL << 20, Hugepages: true, HugepageSize: 1UL << 30)),
            ("memory.hotplugged_size", _) => Memory(new MemoryConfig(1UL << 30, HotplugSize: 1UL << 30, HotpluggedSize: 1UL << 30)),
            ("memory.zones[0].hotplug_size", _) => Memory(new MemoryConfig(0, Zones: [zone with { HotplugSize = 1UL << 30 }])),
            ("memory.shared", _) => Memory(new MemoryConfig(0, Shared: true, Zones: [zone])),
            ("memory.zones[1].id", _) => Memory(new MemoryConfig(0, Zones: [zone, zone])),
            ("memory.zones[0].hugepage_size", _) => Memory(new MemoryConfig(0, Zones: [zone with { HugepageSize = 2UL << 20 }])),
            ("memory.zones[0].host_numa_node", _) => Memory(new MemoryConfig(0, Zones: [zone with { HostNumaNode = 0 }])),
            ("memory.hugepage_size", _) => Memory(new MemoryConfig(Hugepages: true, HugepageSize: 3UL << 20)),
            ("payload.kernel", _) => Good with { Payload = null },
            ("payload.firmware", _) => Good with { Payload = new PayloadConfig(Firmware: "/f") },
            ("disks[0].path", "missing") => Disk(disk with { Path = null }),
            ("disks[1].path", _) => Disk(disk, disk with { Readonly = true }),
            ("disks[0].num_queues", "0") => Disk(disk with { NumQueues = 0 }),
            ("disks[0].num_queues", _) => Disk(disk with { NumQueues = 5 }),
            ("disks[0].queue_size", _) => Disk(disk with { QueueSize = 100 }),
            ("disks[0].serial", "20") => Disk(disk with { Serial = new string('s', 21) }),
            ("disks[0].image_type", _) => Disk(disk with { ImageType = ImageType.FlatVmdk }),
            ("disks[0].iommu", _) => Disk(disk with { Iommu = true }),
            ("disks[0].pci_segment", _) => Disk(disk with { PciSegment = 1 }),
            ("disks[0].pci_device_id", _) => Disk(disk with { PciDeviceId = 32 }),
            ("disks[1].pci_device_id", _) => Disk(disk with { PciDeviceId = 3 }, new DiskConfig("/b", PciDeviceId: 3)),
            ("disks[0].id", _) => Disk(disk with { Id = "__console" }),
            ("disks[1].id", _) => Disk(disk with { Id = "x" }, new DiskConfig("/b", Id: "x")),
            ("net[0].socket", _) => Net(net with { Socket = "" }),
            ("net[0].vhost_user", _) => Net(net with { Socket = "/s", VhostUser = true, VhostSocket = "/t" }),
            ("net[0].vhost_mode", _) => Net(net with { Socket = "/s", VhostMode = VhostMode.Server }),
            ("net[0].fds", _) => Net(net with { Socket = "/s", Fds = [3] }),
            ("net[0].ip", "stream socket") => Net(net with { Socket = "/s", Ip = "10.0.0.1" }),
            ("net[0].host_mac", "stream socket") => Net(net with { Socket = "/s", HostMac = "2e:89:a8:e4:bf:0d" }),
            ("net[0].passt.address", _) => Net(net with { Passt = new PasstConfig(Address: "10.0.2.15/33") }),
            ("net[0].passt.gateway", _) => Net(net with { Passt = new PasstConfig(Gateway: "::1") }),
            ("net[0].num_queues", "one pair") => Net(net with { Socket = "/s", NumQueues = 4 }),
            ("net[0].num_queues", "3") => Net(net with { NumQueues = 3 }),
            ("net[0].num_queues", "5 queue pairs") => Net(net with { NumQueues = 10 }),
            ("net[0].num_queues", _) => Net(net with { Fds = [3, 4] }),
            ("net[0].mtu", _) => Net(net with { Mtu = 1279 }),
            ("net[0].mac", _) => Net(net with { Mac = "01:00:00:00:00:01" }),
            ("net[0].ip", _) => Net(net with { Ip = "1.2.3.4.5" }),
            ("net[0].mask", _) => Net(net with { Ip = "fe80::1", Mask = "255.255.0.0" }),
            ("net[0].tap", _) => Net(net with { Tap = "a/b" }),
            ("net[1].tap", _) => Net(net with { Tap = "t0" }, net with { Tap = "t0" }),
            ("net[0].vhost_socket", "0") => Net(net with { VhostUser = true, VhostSocket = "" }),
            ("net[0].vhost_socket", _) => Net(net with { VhostSocket = "/s" }),
            ("net[0].rate_limiter_config", "back end") => Net(net with { VhostUser = true, VhostSocket = "/s", RateLimiterConfig = new() }),
            ("disks[0].vhost_socket", _) => Disk(disk with { VhostUser = true, VhostSocket = new string('s', 109) }),
            ("disks[0].path", _) => Disk(disk with { VhostUser = true, VhostSocket = "/s" }),
            ("disks[0].serial", _) => Disk(disk with { VhostUser = true, VhostSocket = "/s", Serial = "s" }),
            ("console.mode", "Tty") => Good with { Serial = new SerialConfig(Mode: ConsoleMode.Tty) },
            ("console.mode", _) => Good with { Console = new ConsoleConfig(Mode: ConsoleMode.Socket, Socket: "/s") },
            ("serial.file", _) => Good with { Serial = new SerialConfig(Mode: ConsoleMode.File) },
            ("serial.file_size", "65536") => Good with { Serial = new SerialConfig("/f", ConsoleMode.File, FileSize: 65535) },
            ("serial.file_size", _) => Good with { Serial = new SerialConfig(Mode: ConsoleMode.Null, FileSize: 1 << 20) },
            ("serial.socket", _) => Good with { Serial = new SerialConfig(Mode: ConsoleMode.Socket) },
            ("rng.src", _) => Good with { Rng = new RngConfig("") },
            ("platform.num_pci_segments", _) => Platform(new PlatformConfig(97)),
            ("platform.system_uuid", _) => Platform(new PlatformConfig(SystemUuid: "x")),
            ("platform.oem_strings[0]", _) => Platform(new PlatformConfig(OemStrings: ["\u00e4"])),
            ("disks[0].queue_affinity[0].queue_index", _) => Disk(disk with { QueueAffinity = [new(1, [0])] }),
            ("disks[0].queue_affinity[1].queue_index", _) => Disk(disk with { QueueAffinity = [new(0, [0]), new(0, [1])] }),
            ("disks[0].queue_affinity[0].host_cpus", _) => Disk(disk with { QueueAffinity = [new(0, [8192])] }),
            ("disks[0].rate_limiter_config.bandwidth.size", _) => Disk(disk with { RateLimiterConfig = new(new(0, 1, 1)) }),
            ("disks[0].rate_limiter_config.ops.refill_time", _) => Disk(disk with { RateLimiterConfig = new(null, new(1, 1, 0)) }),
            ("net[0].rate_limiter_config.ops.size", _) => Net(net with { RateLimiterConfig = new(null, new(0, 1, 1)) }),
            ("disks[0].rate_limit_group", "both") => Disk(disk with { RateLimitGroup = "g", RateLimiterConfig = new() }) with { RateLimitGroups = [new("g")] },
            ("disks[0].rate_limit_group", _) => Disk(disk with { RateLimitGroup = "h" }) with { RateLimitGroups = [new("g")] },
            ("rate_limit_groups[0].id", _) => Good with { RateLimitGroups = [new()] },
            ("rate_limit_groups[1].id", _) => Good with { RateLimitGroups = [new("g"), new("g")] },
            ("rate_limit_groups[0].rate_limiter_config.bandwidth.refill_time", _) => Good with { RateLimitGroups = [new("g", new(new(1)))] },
            ("balloon.size", "multiple") => Good with { Balloon = new BalloonConfig(4097) },
            ("balloon.size", _) => Good with { Balloon = new BalloonConfig(1UL << 40) },
            ("vsock.cid", "2 is not") => Good with { Vsock = new VsockConfig(2, "/s") },
            ("vsock.cid", _) => Good with { Vsock = new VsockConfig(uint.MaxValue, "/s") },
            ("vsock.socket", "0") => Good with { Vsock = new VsockConfig(3, "") },
            ("vsock.socket", _) => Good with { Vsock = new VsockConfig(3, "/" + new string('s', 108)) },
            ("vsock.iommu", _) => Good with { Vsock = new VsockConfig(3, "/s", Iommu: true) },
            ("tpm", _) => Good with { Tpm = new TpmConfig("/s") },
            _ => throw new ArgumentException($"no case for {field}"),
        };
    }
}
