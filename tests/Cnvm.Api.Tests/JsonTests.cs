using System.Text;
using System.Text.Json;
using Cnvm.Api.Json;
using Cnvm.Vmm;
using Cnvm.Vmm.Config;

namespace Cnvm.Api.Tests;

/// <summary>Configurations as clients write them, and what comes back.</summary>
public sealed class JsonTests
{
    /// <summary>What Kata's Go driver sends, pretty-printed here.</summary>
    private const string KataGo =
        """
        {
          "cpus": {"boot_vcpus": 1, "max_vcpus": 8, "topology": {"threads_per_core": 1, "cores_per_die": 8, "dies_per_package": 1, "packages": 1}},
          "memory": {"size": 2147483648, "hotplug_size": 8589934592, "hotplug_method": "Acpi", "shared": true, "hugepages": false, "mergeable": false},
          "payload": {"kernel": "/opt/kata/share/kata-containers/vmlinux.container", "cmdline": "root=/dev/vda1 ro quiet"},
          "disks": [{"path": "/opt/kata/kata.img", "readonly": true, "image_type": "Raw", "num_queues": 1, "queue_size": 128, "vhost_user": false,
                     "rate_limiter_config": {"bandwidth": {"size": 1, "refill_time": 2}, "ops": {"size": 3, "one_time_burst": 4, "refill_time": 5}}}],
          "rng": {"src": "/dev/urandom", "iommu": false},
          "balloon": {"size": 0, "free_page_reporting": true},
          "fs": [{"tag": "kataShared", "socket": "/run/vc/vm/x/virtiofsd.sock", "num_queues": 1, "queue_size": 1024, "pci_segment": 1}],
          "serial": {"mode": "Off"},
          "console": {"mode": "Off", "iommu": false},
          "devices": [{"path": "/sys/bus/pci/devices/0000:01:00.0", "iommu": false, "id": "gpu0"}],
          "vsock": {"cid": 3, "socket": "/run/vc/vm/x/clh.sock"},
          "platform": {"num_pci_segments": 2, "serial_number": "sn", "uuid": "11111111-2222-3333-4444-555555555555"}
        }
        """;

    /// <summary>What runtime-rs sends: everything it knows, nulls included.</summary>
    private const string RuntimeRs =
        """
        {
          "cpus": {"boot_vcpus": 1, "max_vcpus": 4, "topology": {"threads_per_core": 1, "cores_per_die": 4, "dies_per_package": 1, "packages": 1},
                   "kvm_hyperv": false, "max_phys_bits": 46, "affinity": null, "features": {"amx": false}},
          "memory": {"size": 2147483648, "mergeable": false, "hotplug_method": "Acpi", "hotplug_size": 4294967296, "hotplugged_size": null,
                     "shared": true, "hugepages": false, "hugepage_size": null, "prefault": false, "zones": null, "thp": false},
          "payload": {"firmware": null, "kernel": "/vmlinux.container", "cmdline": "reboot=k panic=1", "initramfs": null,
                      "mrconfigid": null, "host_data": null},
          "disks": [{"path": "/kata.img", "readonly": true, "direct": false, "iommu": false, "num_queues": 1, "queue_size": 128,
                     "vhost_user": false, "vhost_socket": null, "rate_limiter_config": null, "id": null, "disable_io_uring": false,
                     "pci_segment": 0, "image_type": "Unknown"}],
          "net": null,
          "rng": {"src": "/dev/urandom", "iommu": false},
          "balloon": null,
          "fs": [{"tag": "kataShared", "socket": "/run/virtiofsd.sock", "num_queues": 1, "queue_size": 1024, "id": null, "pci_segment": 0}],
          "pmem": null,
          "serial": {"file": null, "mode": "Off", "iommu": false},
          "console": {"file": null, "mode": "Tty", "iommu": false},
          "devices": null, "user_devices": null, "vdpa": null,
          "vsock": {"cid": 3, "socket": "/run/ch-vm.sock", "iommu": false, "id": null, "pci_segment": 0},
          "iommu": false, "sgx_epc": null, "numa": null, "watchdog": false, "platform": null
        }
        """;

    [Fact]
    public void Katas_go_body_is_read()
    {
        VmConfig config = Read(KataGo);
        Assert.Equal(new CpusConfig(1, 8, new CpuTopology(1, 8)), config.Cpus);
        Assert.Equal(new MemoryConfig(Size: 2UL << 30, HotplugSize: 8UL << 30, Shared: true), config.Memory);
        DiskConfig disk = Assert.Single(config.Disks!);
        Assert.Equal(("/opt/kata/kata.img", true, ImageType.Raw), (disk.Path, disk.Readonly, disk.ImageType));
        Assert.Equal(new RateLimiterConfig(new TokenBucketConfig(1, null, 2), new TokenBucketConfig(3, 4, 5)), disk.RateLimiterConfig);
        Assert.Equal(ConsoleMode.Off, config.Serial.Mode);
        Assert.Equal(new VsockConfig(3, "/run/vc/vm/x/clh.sock"), config.Vsock);
        Assert.Equal(1, Assert.Single(config.Fs!).PciSegment);
        Assert.Equal(2, config.Platform!.NumPciSegments);
        Assert.Equal(("sn", "11111111-2222-3333-4444-555555555555"), (config.Platform.SystemSerialNumber, config.Platform.SystemUuid));
    }

    [Fact]
    public void Katas_go_body_is_refused_by_the_names_of_what_is_missing()
    {
        string[] fields = [.. VmConfigValidator.Validate(Read(KataGo)).Select(p => p.Field)];
        Assert.Equal(
            ["devices"], fields);
    }

    [Fact]
    public void Runtime_rs_body_full_of_nulls_is_read()
    {
        VmConfig config = Read(RuntimeRs);
        Assert.Equal(46, config.Cpus.MaxPhysBits);
        Assert.True(config.Cpus.Nested);
        Assert.False(config.Memory.Thp);
        Assert.Null(config.Net);
        Assert.Null(config.Platform);
        Assert.Equal(ConsoleMode.Tty, config.Console.Mode);
        Assert.Null(config.Payload!.Initramfs);
        Assert.True(Assert.Single(config.Disks!).Sparse);
    }

    [Theory]
    [InlineData(KataGo)]
    [InlineData(RuntimeRs)]
    public void What_is_written_reads_back_the_same(string json)
    {
        VmConfig config = Read(json);
        string once = Write(config);
        Assert.Equal(once, Write(Read(once)));
        Assert.DoesNotContain("null", once, StringComparison.Ordinal);
        Assert.All(once, c => Assert.InRange(c, ' ', '~'));
    }

    [Fact]
    public void Defaults_are_the_contracts()
    {
        string json = Write(Read("""{"payload":{"kernel":"/k"},"disks":[{"path":"/d"}],"net":[{}],"platform":{}}"""));
        JsonElement expected = JsonDocument.Parse(
            """
            {"cpus":{"boot_vcpus":1,"max_vcpus":1,"kvm_hyperv":false,"max_phys_bits":46,"features":{"amx":false},"nested":true,"core_scheduling":"Vm","profile":"Host"},
            "memory":{"size":536870912,"mergeable":false,"hotplug_method":"Acpi","shared":false,"hugepages":false,"prefault":false,"reserve":false,"thp":true},
            "payload":{"kernel":"/k"},
            "disks":[{"path":"/d","readonly":false,"direct":false,"num_queues":1,"queue_size":128,"vhost_user":false,"backing_files":false,"sparse":true,"image_type":"Unknown","lock_granularity":"ByteRange","pci_segment":0}],
            "net":[{"num_queues":2,"queue_size":256,"vhost_user":false,"vhost_mode":"Client","offload_tso":true,"offload_ufo":true,"offload_csum":true,"pci_segment":0}],
            "rng":{"src":"/dev/urandom","pci_segment":0},"serial":{"mode":"Null"},"console":{"mode":"Tty","pci_segment":0},"debug_console":{"mode":"Off","iobase":233},
            "pvpanic":false,"iommu":false,"watchdog":false,
            "platform":{"num_pci_segments":1,"iommu_address_width_bits":64,"tdx":false,"sev_snp":false,"iommufd":false,"vfio_p2p_dma":true},"landlock_enable":false}
            """).RootElement;
        Assert.True(JsonElement.DeepEquals(expected, JsonDocument.Parse(json).RootElement), json);
    }

    [Fact]
    public void Every_key_of_the_contract_has_its_spelling()
    {
        string json = Write(Everything());
        foreach (string key in new[]
        {
            "boot_vcpus", "max_vcpus", "threads_per_core", "cores_per_die", "dies_per_package", "packages", "kvm_hyperv", "max_phys_bits",
            "affinity", "vcpu", "host_cpus", "amx", "nested", "core_scheduling", "profile", "size", "mergeable", "hotplug_method",
            "hotplug_size", "hotplugged_size", "shared", "hugepages", "hugepage_size", "prefault", "reserve", "thp", "zones", "file",
            "host_numa_node", "firmware", "kernel", "cmdline", "initramfs", "igvm", "host_data", "fw_cfg_config", "acpi_tables",
            "rate_limit_groups", "rate_limiter_config", "bandwidth", "ops", "one_time_burst", "refill_time", "disks", "path", "readonly",
            "direct", "num_queues", "queue_size", "vhost_user", "vhost_socket", "rate_limit_group", "serial", "queue_affinity",
            "queue_index", "backing_files", "sparse", "image_type", "lock_granularity", "disable_io_uring", "disable_aio", "id", "iommu",
            "pci_segment", "pci_device_id", "net", "tap", "ip", "mask", "mac", "host_mac", "mtu", "vhost_mode", "fds", "offload_tso",
            "offload_ufo", "offload_csum", "rng", "src", "balloon", "deflate_on_oom", "free_page_reporting", "generic_vhost_user",
            "socket", "queue_sizes", "device_type", "fs", "tag", "pmem", "discard_writes", "console", "mode", "debug_console", "iobase",
            "devices", "x_nv_gpudirect_clique", "x_exclude_mmap_bars", "user_devices", "vdpa", "vsock", "cid", "pvpanic", "numa",
            "guest_numa_id", "cpus", "distances", "destination", "distance", "memory_zones", "pci_segments", "device_id", "watchdog",
            "rtc", "mmio32_aperture_weight", "mmio64_aperture_weight", "platform", "num_pci_segments", "iommu_segments",
            "iommu_address_width_bits", "system_serial_number", "system_uuid", "oem_strings", "system_manufacturer",
            "system_product_name", "system_version", "system_family", "system_sku_number", "chassis_asset_tag", "tdx", "sev_snp",
            "iommufd", "vfio_p2p_dma", "machine_profile", "vmgenid", "vmclock", "tpm", "landlock_enable", "landlock_rules", "access", "gdb", "pvmemcontrol",
            "ivshmem", "memory", "payload", "features", "topology",
        })
        {
            Assert.Contains($"\"{key}\":", json, StringComparison.Ordinal);
        }

        Assert.Equal(json, Write(Read(json)));
    }

    [Theory]
    [InlineData("""{"platform":{"machine_profile":"microvm"}}""", MachineProfile.Microvm)]
    [InlineData("""{"platform":{"machine_profile":"cloud"}}""", MachineProfile.Cloud)]
    public void The_machine_profile_is_spelled_in_lower_case(string json, MachineProfile profile) =>
        Assert.Equal(profile, Read(json).Platform!.MachineProfile);

    [Theory]
    [InlineData("", "The request body is not valid")]
    [InlineData("null", "it is null")]
    [InlineData("[]", "")]
    [InlineData("{", "")]
    [InlineData("{}{}", "")]
    [InlineData("{\"payload\":}", "")]
    [InlineData("\ufeff{}", "")]
    [InlineData("{'payload':null}", "")]
    [InlineData("{\"cpus\":{\"boot_vcpus\":1}}", "max_vcpus")]
    [InlineData("{\"cpus\":{\"boot_vcpus\":-1,\"max_vcpus\":1}}", "cpus.boot_vcpus: ")]
    [InlineData("{\"cpus\":{\"boot_vcpus\":4294967296,\"max_vcpus\":1}}", "cpus.boot_vcpus: ")]
    [InlineData("{\"cpus\":{\"boot_vcpus\":1.5,\"max_vcpus\":1}}", "cpus.boot_vcpus: ")]
    [InlineData("{\"cpus\":{\"boot_vcpus\":\"1\",\"max_vcpus\":1}}", "cpus.boot_vcpus: ")]
    [InlineData("{\"cpus\":{\"boot_vcpus\":1,\"max_vcpus\":1,\"max_phys_bits\":256}}", "cpus.max_phys_bits: ")]
    [InlineData("{\"memory\":{\"size\":18446744073709551616}}", "memory.size: ")]
    [InlineData("{\"memory\":{\"size\":1e99}}", "memory.size: ")]
    [InlineData("{\"disks\":{}}", "disks: ")]
    [InlineData("{\"disks\":[{\"path\":1}]}", "disks[0].path: ")]
    [InlineData("{\"disks\":[{},{\"readonly\":null}]}", "disks[1].readonly: ")]
    [InlineData("{\"disks\":[{\"image_type\":\"raw\"}]}", "disks[0].image_type: is not one of FixedVhd, FlatVmdk, Qcow2, Raw, Vhdx, Unknown")]
    [InlineData("{\"serial\":{\"mode\":1}}", "serial.mode: is not one of Off, Pty, Tty, File, Socket, Null")]
    [InlineData("{\"serial\":{}}", "mode")]
    [InlineData("{\"rng\":{\"src\":null}}", "rng.src: ")]
    [InlineData("{\"rate_limit_groups\":[{\"id\":\"a\",\"rate_limiter_config\":{\"bogus\":1}}]}", "bogus")]
    [InlineData("{\"iommu\":false,\"watchdog\":true,\"iommu\":true}", "the key 'iommu' stands twice in an object")]
    [InlineData("{\"payload\":{\"kernel\":\"a\",\"k\\u0065rnel\":\"b\"}}", "the key 'kernel' stands twice in an object")]
    [InlineData("{\"junk\":{\"a\":1,\"a\":2}}", "the key 'a' stands twice in an object")]
    [InlineData("{\"pci_segments\":[null]}", "pci_segments: a null stands in a list")]
    [InlineData("{\"disks\":[{\"path\":\"/d\"},null]}", "disks: a null stands in a list")]
    [InlineData("{\"platform\":{\"oem_strings\":[null]}}", "oem_strings: a null stands in a list")]
    [InlineData("{\"memory\":{\"size\":18446744073709551616}}", "memory.size: is no whole number from 0 to 18446744073709551615")]
    [InlineData("{\"iommu\":1}", "iommu: is neither true nor false")]
    [InlineData("{\"payload\":{\"kernel\":5}}", "payload.kernel: is no text")]
    [InlineData("{\"disks\":7}", "disks: is no list of the right form")]
    [InlineData("{\"cpus\":7}", "cpus: is no value of the right form")]
    [InlineData("{\"vsock\":{\"cid\":3}}", "vsock: is missing socket")]
    [InlineData("{\"payload\":{\"kernel\":\"\\ud800\"}}", "")]
    [InlineData("{\"\\ud800\":1}", "")]
    public void What_is_wrong_is_refused_and_named(string json, string named)
    {
        VmmException e = Assert.Throws<VmmException>(() => Read(json));
        Assert.Equal(VmmErrorKind.Invalid, e.Kind);
        Assert.StartsWith("The request body is not valid", e.Message, StringComparison.Ordinal);
        Assert.Contains(named, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Invalid_utf8_is_refused() =>
        Assert.Throws<VmmException>(() => JsonBody.Read(
            [.. "{\"payload\":{\"kernel\":\""u8, 0xc3, 0x28, .. "\"}}"u8], ApiJsonContext.Default.VmConfig));

    [Theory]
    [InlineData("[", "]")]
    [InlineData("{\"a\":", "}")]
    public void Deep_nesting_is_refused(string open, string close)
    {
        foreach (int depth in new[] { 40, 100_000 })
        {
            string json = $$"""{"junk":{{string.Concat(Enumerable.Repeat(open, depth))}}1{{string.Concat(Enumerable.Repeat(close, depth))}}}""";
            Assert.Throws<VmmException>(() => Read(json));
        }
    }

    [Fact]
    public void Unknown_keys_are_ignored_however_large() =>
        Assert.Equal("/k", Read($$"""{"payload":{"kernel":"/k","new":[1,{"x":null}]},"big":"{{new string('x', 1 << 20)}}"}""").Payload!.Kernel);

    [Fact]
    public void A_body_of_many_keys_is_read_in_linear_time()
    {
        var json = new StringBuilder("{");
        for (int i = 0; i < 200_000; i++)
        {
            json.Append("\"k").Append(i).Append("\":0,");
        }

        var watch = System.Diagnostics.Stopwatch.StartNew();
        Assert.Equal(1u, Read(json.Append("\"pvpanic\":true}").ToString()).Cpus.BootVcpus);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"took {watch.Elapsed}");
    }

    private static VmConfig Read(string json) => JsonBody.Read(Encoding.UTF8.GetBytes(json), ApiJsonContext.Default.VmConfig);

    private static string Write(VmConfig config) => Encoding.UTF8.GetString(JsonBody.Write(config, ApiJsonContext.Default.VmConfig));

    private static VmConfig Everything()
    {
        var limiter = new RateLimiterConfig(new TokenBucketConfig(1, 2, 3), new TokenBucketConfig(4, 5, 6));
        return new VmConfig(
            Cpus: new CpusConfig(1, 1, new CpuTopology(), true, 40, [new CpuAffinity(0, [1])], new CpuFeatures(true), false),
            Memory: new MemoryConfig(
                1, true, HotplugMethod.VirtioMem, 2, 3, true, true, 4, true, true, false,
                [new MemoryZoneConfig("z", 1, "/f", true, true, 2, 3, 4, 5, true, true, true)]),
            Payload: new PayloadConfig("f", "k", "c", "i", "g", "h", new FwCfgConfig()),
            RateLimitGroups: [new RateLimitGroupConfig("g", limiter)],
            Disks:
            [
                new DiskConfig(
                    "/d", true, true, 2, 64, true, "/s", "g", limiter, "sn", [new VirtQueueAffinity(0, [1])], true, false, ImageType.Qcow2,
                    LockGranularity.Full, true, true, "id", true, 1, 2),
            ],
            Net:
            [
                new NetConfig(
                    "t", "1.2.3.4", "255.0.0.0", "m", "h", 1500, 4, 64, true, "/s", VhostMode.Server, [3], limiter, false, false, false, "n",
                    true, 1, 3, "/n"),
            ],
            Rng: new RngConfig("/r", "r", true, 1, 4),
            Balloon: new BalloonConfig(1, true, true, true, "b"),
            GenericVhostUser: [new GenericVhostUserConfig("/s", [1], 2)],
            Fs: [new FsConfig("t", "/s", 2, 64, "/folder", true, FsCache.Always, "id", true, 1, 2)],
            Pmem: [new PmemConfig("/p", 1, true)],
            Serial: new SerialConfig("/f", ConsoleMode.File, "/s"),
            Console: new ConsoleConfig("/f", ConsoleMode.Socket, "/s"),
            DebugConsole: new DebugConsoleConfig("/f", ConsoleMode.File, 1),
            Devices: [new DeviceConfig("/p", 1, 2, [3])],
            UserDevices: [new UserDeviceConfig("/s")],
            Vdpa: [new VdpaConfig("/p")],
            Vsock: new VsockConfig(3, "/s"),
            Pvpanic: true,
            Iommu: true,
            Numa: [new NumaConfig(0, [0], [new NumaDistance(1, 20)], ["z"], [0], "d")],
            Watchdog: true,
            Rtc: new RtcConfig(),
            Gdb: true,
            Pvmemcontrol: new PvmemcontrolConfig(),
            PciSegments: [new PciSegmentConfig(1, 2, 3)],
            Platform: new PlatformConfig(
                2, [1], 48, "sn", "uuid", ["o"], "m", "p", "v", "f", "k", "t", true, true, true, false, MachineProfile.Microvm, false, Vmclock: true),
            Tpm: new TpmConfig("/s"),
            LandlockEnable: true,
            LandlockRules: [new LandlockConfig("/p", "rw")],
            Ivshmem: new IvshmemConfig("/p", 1));
    }
}
