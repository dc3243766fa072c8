using Cnvm.Vmm.Config;
using Cnvm.VmmProgram;
using Cnvm.CommandLine;
using Microsoft.Extensions.Logging;

namespace Cnvm.Api.Tests;

/// <summary>The program's flags and option strings.</summary>
public sealed class CommandLineTests
{
    [Fact]
    public void A_whole_machine_is_described_by_flags()
    {
        VmConfig vm = Vm(
            "--kernel", "/k", "--cmdline", "console=ttyS0 root=/dev/vda1", "--initramfs", "/i",
            "--cpus", "boot=2,max=2,topology=1:2:1:1,max_phys_bits=40,affinity=[0@[0,2-3],1@[1]],nested=off,features=[],core_scheduling=off",
            "--memory", "size=2G,shared=on,prefault=true,thp=off,mergeable=off",
            "--disk", "path=/a,readonly=on,serial=abc,id=root,image_type=raw", "path=/b,direct=on,num_queues=2,queue_size=256",
            "--net", "tap=t0,ip=192.168.1.1,mask=255.255.255.0,mac=2e:89:a8:e4:bf:0d,mtu=1500,offload_tso=off",
            "--disk=path=/c,pci_device_id=7,lock_granularity=full",
            "--fs", "tag=a,path=/f", "tag=b,path=/g,readonly=on,cache=always,num_queues=2,queue_size=64,id=g,pci_segment=1",
            "--rng", "src=/dev/random", "--serial", "tty", "--console", "off", "--debug-console", "file=/dbg,iobase=0x402",
            "--pci-segment", "pci_segment=1,mmio32_aperture_weight=3", "--platform", "num_pci_segments=2,serial_number=sn,oem_strings=[one,\"two,three\"],system_manufacturer=me", "--pvpanic");
        Assert.Equal(new PayloadConfig(Kernel: "/k", Cmdline: "console=ttyS0 root=/dev/vda1", Initramfs: "/i"), vm.Payload);
        Assert.Equal((2u, 2u, (byte)40, false, CoreScheduling.Off), (vm.Cpus.BootVcpus, vm.Cpus.MaxVcpus, vm.Cpus.MaxPhysBits, vm.Cpus.Nested, vm.Cpus.CoreScheduling));
        Assert.Equal(new CpuTopology(1, 2), vm.Cpus.Topology);
        Assert.Equal([0u, 1u], vm.Cpus.Affinity!.Select(a => a.Vcpu));
        Assert.Equal([0u, 2u, 3u], vm.Cpus.Affinity![0].HostCpus);
        Assert.Equal(new MemoryConfig(2UL << 30, Shared: true, Prefault: true, Thp: false), vm.Memory);
        Assert.Equal(
            [
                new DiskConfig("/a", Readonly: true, Serial: "abc", Id: "root", ImageType: ImageType.Raw),
                new DiskConfig("/b", Direct: true, NumQueues: 2, QueueSize: 256),
                new DiskConfig("/c", PciDeviceId: 7, LockGranularity: LockGranularity.Full),
            ],
            vm.Disks!);
        Assert.Equal(
            [new NetConfig("t0", "192.168.1.1", "255.255.255.0", "2e:89:a8:e4:bf:0d", Mtu: 1500, OffloadTso: false)], vm.Net!);
        Assert.Equal(
            [new FsConfig("a", Path: "/f"), new FsConfig("b", null, 2, 64, "/g", true, FsCache.Always, "g", PciSegment: 1)], vm.Fs!);
        FsConfig mapped = VmConfigArguments.ParseFs("tag=t,path=/f,uid_map=[0:100000:65536,70000:5:1],gid_map=[0:9:1]");
        Assert.Equal([new IdRangeConfig(0, 100000, 65536), new IdRangeConfig(70000, 5, 1)], mapped.UidMap!);
        Assert.Equal([new IdRangeConfig(0, 9, 1)], mapped.GidMap!);
        Assert.Equal((true, false), (VmConfigArguments.ParseFs("tag=t,path=/f,locks=on").Locks, mapped.Locks));
        Assert.Equal(new RngConfig("/dev/random"), vm.Rng);
        Assert.Equal(new SerialConfig(Mode: ConsoleMode.Tty), vm.Serial);
        Assert.Equal(new ConsoleConfig(Mode: ConsoleMode.Off), vm.Console);
        Assert.Equal(new DebugConsoleConfig("/dbg", ConsoleMode.File, 0x402), vm.DebugConsole);
        Assert.Equal((2, "sn", "me"), (vm.Platform!.NumPciSegments, vm.Platform.SystemSerialNumber, vm.Platform.SystemManufacturer));
        Assert.Equal(["one", "two,three"], vm.Platform.OemStrings!);
        Assert.True(vm.Pvpanic);
        Assert.Equal([new PciSegmentConfig(1, 3)], vm.PciSegments!);
    }

    [Fact]
    public void A_socket_is_a_stream_of_frames_unless_a_vhost_user_back_end_has_it()
    {
        VmConfig vm = Vm(
            "--kernel", "/k", "--memory", "shared=on", "--net", "socket=/run/passt.sock,mtu=9000", "vhost_user=on,socket=/run/switch.sock,vhost_mode=server");
        Assert.Equal(
            [new NetConfig(Socket: "/run/passt.sock", Mtu: 9000), new NetConfig(VhostUser: true, VhostSocket: "/run/switch.sock", VhostMode: VhostMode.Server)],
            vm.Net!);
    }

    [Fact]
    public void Passt_is_started_with_ports_that_lead_to_the_guest()
    {
        VmConfig vm = Vm("--kernel", "/k", "--net", "passt=on,tcp_ports=[8080:80,127.0.0.1/2222:22],mac=52:54:00:00:00:01", "passt=on,udp_ports=53,guest_ip=10.0.2.15/24,gateway=10.0.2.2", "tap=t,passt=off");
        Assert.Equal(["8080:80", "127.0.0.1/2222:22"], vm.Net![0].Passt!.TcpPorts!);
        Assert.Null(vm.Net[0].Passt!.UdpPorts);
        Assert.Equal("52:54:00:00:00:01", vm.Net[0].Mac);
        Assert.Equal(["53"], vm.Net[1].Passt!.UdpPorts!);
        Assert.Equal(("10.0.2.15/24", "10.0.2.2"), (vm.Net[1].Passt!.Address, vm.Net[1].Passt!.Gateway));
        Assert.Equal(new NetConfig(Tap: "t"), vm.Net[2]);
    }

    [Fact]
    public void A_kernel_alone_has_the_contracts_defaults()
    {
        VmConfig vm = Vm("--kernel", "/k");
        Assert.Equal(new VmConfig(Payload: new PayloadConfig(Kernel: "/k")), vm);
        Assert.Equal(512UL << 20, vm.Memory.Size);
    }

    [Theory]
    [InlineData("512K", 512UL << 10)]
    [InlineData("128M", 128UL << 20)]
    [InlineData("5G", 5UL << 30)]
    [InlineData("1T", 1UL << 40)]
    [InlineData("4096", 4096UL)]
    [InlineData("0", 0UL)]
    [InlineData("", null)]
    [InlineData("K", null)]
    [InlineData("-1", null)]
    [InlineData("1k", null)]
    [InlineData("1.5G", null)]
    [InlineData("1GB", null)]
    [InlineData("16777216T", null)]
    [InlineData("18446744073709551615", ulong.MaxValue)]
    [InlineData("18446744073709551616", null)]
    public void Sizes(string text, ulong? bytes) => Assert.Equal(bytes, OptionString.ParseSize(text));

    [Fact]
    public void Short_forms_of_cpus_and_memory()
    {
        VmConfig vm = Vm("--kernel", "/k", "--cpus", "4", "--memory", "1G");
        Assert.Equal((4u, 4u, 1UL << 30), (vm.Cpus.BootVcpus, vm.Cpus.MaxVcpus, vm.Memory.Size));
        Assert.Equal(3u, Vm("--kernel", "/k", "--cpus", "boot=3").Cpus.MaxVcpus);
    }

    [Fact]
    public void Zones_stand_for_the_size()
    {
        VmConfig vm = Vm("--kernel", "/k", "--memory-zone", "id=a,size=1G", "id=b,size=512M,file=/dev/shm,shared=on");
        Assert.Equal(0UL, vm.Memory.Size);
        Assert.Equal([new MemoryZoneConfig("a", 1UL << 30), new MemoryZoneConfig("b", 512UL << 20, "/dev/shm", Shared: true)], vm.Memory.Zones!);
    }

    [Fact]
    public void The_machine_can_be_chosen_in_two_ways()
    {
        Assert.Equal(MachineProfile.Microvm, Vm("--kernel", "/k", "--machine", "microvm").Platform!.MachineProfile);
        Assert.Equal(MachineProfile.Microvm, Vm("--kernel", "/k", "--platform", "machine_profile=microvm").Platform!.MachineProfile);
        Refused("give one of them", "--kernel", "/k", "--machine", "cloud", "--platform", "machine_profile=cloud");
        Refused("neither cloud nor microvm", "--kernel", "/k", "--machine", "q35");
    }

    [Fact]
    public void Katas_command_lines_are_taken()
    {
        LaunchOptions go = LaunchOptions.Parse(["--api-socket", "/run/clh-api.sock", "-vv", "--seccomp", "false"]);
        Assert.Equal(("/run/clh-api.sock", LogLevel.Debug, "false", null), (go.ApiSocket!.Path, go.LogLevel, go.Seccomp, go.Vm));
        LaunchOptions rust = LaunchOptions.Parse(["--api-socket", "/run/ch-api.sock", "-v"]);
        Assert.Equal(LogLevel.Information, rust.LogLevel);
    }

    [Theory]
    [InlineData("path=/a=b", "/a=b", null)]
    [InlineData("fd=3", null, 3)]
    [InlineData("/a", "/a", null)]
    public void Socket_by_path_or_descriptor(string text, string? path, int? fd) =>
        Assert.Equal(new PathOrFd(path, fd), LaunchOptions.Parse(["--api-socket", text]).ApiSocket);

    [Theory]
    [InlineData(0, LogLevel.Warning)]
    [InlineData(1, LogLevel.Information)]
    [InlineData(2, LogLevel.Debug)]
    [InlineData(3, LogLevel.Trace)]
    [InlineData(9, LogLevel.Trace)]
    public void Verbosity(int count, LogLevel level)
    {
        Assert.Equal(level, LaunchOptions.Parse(["--api-socket", "/s", .. Enumerable.Repeat("-v", count)]).LogLevel);
        Assert.Equal(level, LaunchOptions.Parse(count == 0 ? ["--api-socket", "/s"] : ["--api-socket", "/s", "-" + new string('v', count)]).LogLevel);
    }

    [Theory]
    [InlineData("nothing to do")]
    [InlineData("there is no flag --kernal; did you mean --kernel?", "--kernal", "/k")]
    [InlineData("there is no flag --xyzzyxyzzy", "--xyzzyxyzzy")]
    [InlineData("there is no flag -q", "-q")]
    [InlineData("'stray' is no flag", "--kernel", "/k", "stray")]
    [InlineData("'stray' is no flag", "--pvpanic", "stray")]
    [InlineData("--kernel needs a value", "--kernel")]
    [InlineData("--cmdline=VALUE", "--kernel", "/k", "--cmdline", "-x")]
    [InlineData("--kernel is given twice", "--kernel", "/a", "--kernel", "/b")]
    [InlineData("--pvpanic takes no value", "--kernel", "/k", "--pvpanic=on")]
    [InlineData("--cpus describes a VM, so --kernel is needed", "--cpus", "2", "--api-socket", "/s")]
    [InlineData("--disk: there is no key 'redonly'; did you mean readonly?", "--kernel", "/k", "--disk", "redonly=on")]
    [InlineData("--disk: there is no key '/a'; it takes path, ", "--kernel", "/k", "--disk", "/a")]
    [InlineData("--disk: path is given twice", "--kernel", "/k", "--disk", "path=/a,path=/b")]
    [InlineData("--disk: path: needs a value", "--kernel", "/k", "--disk", "path=")]
    [InlineData("--disk: readonly: 'yes' is neither on nor off", "--kernel", "/k", "--disk", "path=/a,readonly=yes")]
    [InlineData("--disk: num_queues: '65536' is no whole number from 0 to 65535", "--kernel", "/k", "--disk", "path=/a,num_queues=65536")]
    [InlineData("--disk: image_type: 'Raw' is not one of raw, ", "--kernel", "/k", "--disk", "path=/a,image_type=Raw")]
    [InlineData("--memory: size: '1X' is no size", "--kernel", "/k", "--memory", "size=1X")]
    [InlineData("--memory-zone: id= is missing", "--kernel", "/k", "--memory-zone", "size=1G")]
    [InlineData("--cpus: topology: '1:2' is not", "--kernel", "/k", "--cpus", "topology=1:2")]
    [InlineData("--cpus: affinity: '0' is not of the form", "--kernel", "/k", "--cpus", "affinity=[0]")]
    [InlineData("--cpus: affinity: '0-4294967295' is no whole number", "--kernel", "/k", "--cpus", "affinity=[0-4294967295@[0]]")]
    [InlineData("no ascending range", "--kernel", "/k", "--cpus", "affinity=[0@[0-2147483647]]")]
    [InlineData("no ascending range", "--kernel", "/k", "--cpus", "affinity=[0@[3-1]]")]
    [InlineData("brackets or quotes do not match", "--kernel", "/k", "--cpus", "affinity=[0@[1]")]
    [InlineData("brackets or quotes do not match", "--kernel", "/k", "--platform", "oem_strings=\"a")]
    [InlineData("there is no 'avx9'", "--kernel", "/k", "--cpus", "features=avx9")]
    [InlineData("--serial: give one of", "--kernel", "/k", "--serial", "tty,pty")]
    [InlineData("--serial: is missing one of", "--kernel", "/k", "--serial", "")]
    [InlineData("--net: fd: ", "--kernel", "/k", "--net", "fd=[3,x]")]
    [InlineData("--api-socket: ", "--api-socket", "fd=x")]
    [InlineData("--api-socket: ", "--api-socket", "fd=99999999999")]
    [InlineData("--event-monitor: '/e' is neither path=PATH nor fd=NUMBER", "--api-socket", "/s", "--event-monitor", "/e")]
    [InlineData("--seccomp: 'maybe' is not one of", "--api-socket", "/s", "--seccomp", "maybe")]
    [InlineData("--fs: tag= is missing", "--kernel", "/k", "--fs", "socket=/s")]
    [InlineData("--fs: path= is missing", "--kernel", "/k", "--fs", "tag=t")]
    [InlineData("--fs: uid_map: '1:2' is not of the form NUMBER:NUMBER:NUMBER", "--kernel", "/k", "--fs", "tag=t,path=/f,uid_map=[1:2]")]
    [InlineData("--fs: gid_map: 'x' ", "--kernel", "/k", "--fs", "tag=t,path=/f,gid_map=[0:x:1]")]
    [InlineData("--fs: cache: 'some' is not one of auto, ", "--kernel", "/k", "--fs", "tag=t,path=/f,cache=some")]
    [InlineData("--vsock: cid= is missing", "--kernel", "/k", "--vsock", "socket=/s")]
    [InlineData("--numa: distances: node 1 needs one distance", "--kernel", "/k", "--numa", "guest_numa_id=0,distances=[1@[256]]")]
    [InlineData("--igvm: IGVM is not supported yet by cnvm", "--igvm", "/f")]
    [InlineData("are for passt=on", "--kernel", "/k", "--net", "tap=t,tcp_ports=80")]
    public void What_is_wrong_is_refused_with_a_hint(string expected, params string[] words) => Refused(expected, words);

    [Theory]
    [InlineData("disks[1].path: ", "--kernel", "/k", "--disk", "path=/a", "path=/a")]
    [InlineData("cpus.boot_vcpus: ", "--kernel", "/k", "--cpus", "boot=100000")]
    [InlineData("memory.size: ", "--kernel", "/k", "--memory", "size=64T")]
    [InlineData("disks[0].rate_limiter_config.bandwidth.refill_time: ", "--kernel", "/k", "--disk", "path=/a,bw_size=1M")]
    [InlineData("memory.shared: disks[0] is a vhost-user device", "--kernel", "/k", "--disk", "vhost_user=on,socket=/s")]
    [InlineData("net[0].tap: is for the vhost-user back end", "--kernel", "/k", "--memory", "shared=on", "--net", "vhost_user=on,socket=/s,tap=t")]
    [InlineData("net[0].tap: the interface is at a stream socket", "--kernel", "/k", "--net", "socket=/s,tap=t")]
    [InlineData("net[0].socket: the interface is at a stream socket", "--kernel", "/k", "--net", "passt=on,socket=/s")]
    [InlineData("net[0].passt.tcp_ports: '80:' is not of the form", "--kernel", "/k", "--net", "passt=on,tcp_ports=80:")]
    [InlineData("net[0].passt.tcp_ports: '0' is not of the form", "--kernel", "/k", "--net", "passt=on,tcp_ports=0")]
    [InlineData("net[0].passt.tcp_ports: '9-8' is not of the form", "--kernel", "/k", "--net", "passt=on,tcp_ports=9-8")]
    [InlineData("net[0].passt.udp_ports: 'here/80' is not of the form", "--kernel", "/k", "--net", "passt=on,udp_ports=here/80")]
    [InlineData("net[0].passt.udp_ports: '1:2:3' is not of the form", "--kernel", "/k", "--net", "passt=on,udp_ports=1:2:3")]
    [InlineData("net[0].passt.tcp_ports: '--help' is not of the form", "--kernel", "/k", "--net", "passt=on,tcp_ports=--help")]
    [InlineData("payload.firmware: firmware is not supported", "--firmware", "/f")]
    [InlineData("balloon.size: ", "--kernel", "/k", "--balloon", "size=1G,deflate_on_oom=on,free_page_reporting=on,statistics=on")]
    [InlineData("devices: ", "--kernel", "/k", "--device", "path=/sys/bus/pci/devices/0000:01:00.0,iommu=on,x_nv_gpudirect_clique=3")]
    [InlineData("memory.shared: fs[0] is a vhost-user device", "--kernel", "/k", "--fs", "tag=a,socket=/s,num_queues=1,queue_size=1024,pci_segment=0", "tag=b,socket=/t")]
    [InlineData("generic_vhost_user: ", "--kernel", "/k", "--generic-vhost-user", "socket=/s,device_type=26,queue_sizes=[64,64]")]
    [InlineData("landlock_enable: ", "--kernel", "/k", "--landlock", "--landlock-rules", "path=/a,access=rw")]
    [InlineData("numa: ", "--kernel", "/k", "--numa", "guest_numa_id=0,cpus=[0-1],distances=[1@20,2@30],memory_zones=[a,b],pci_segments=[0]")]
    [InlineData("pmem: ", "--kernel", "/k", "--pmem", "file=/p,size=1G,discard_writes=on")]
    [InlineData("rate_limit_groups[0].rate_limiter_config.ops.size: ", "--kernel", "/k", "--rate-limit-group", "id=g,bw_size=1M,bw_refill_time=100,ops_size=0,ops_refill_time=1")]
    [InlineData("rtc: ", "--kernel", "/k", "--rtc", "id=clock")]
    [InlineData("tpm: ", "--kernel", "/k", "--tpm", "socket=/s")]
    [InlineData("user_devices: ", "--kernel", "/k", "--user-device", "socket=/s,id=u")]
    [InlineData("vdpa: ", "--kernel", "/k", "--vdpa", "path=/dev/vhost-vdpa-0,num_queues=2")]
    [InlineData("vsock.iommu: ", "--kernel", "/k", "--vsock", "cid=3,socket=/s,iommu=on")]
    [InlineData("pci_segments[0].pci_segment: ", "--kernel", "/k", "--pci-segment", "pci_segment=1")]
    public void A_machine_that_cannot_be_is_refused_by_field(string field, params string[] words)
    {
        ConfigException e = Assert.Throws<ConfigException>(() => LaunchOptions.Parse(words));
        Assert.Contains(field, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Help_tells_every_flag_and_version_has_the_contracts_form()
    {
        Assert.True(LaunchOptions.Parse(["-h"]).ShowHelp);
        Assert.True(LaunchOptions.Parse(["--help", "--kernel", "/k"]).ShowHelp);
        Assert.All(Flags.Names, name => Assert.True(
            name == "--verbose" || HelpText.Text.Contains(name, StringComparison.Ordinal), $"help does not tell {name}"));
        Assert.All(HelpText.Text.Split('\n'), line => Assert.InRange(line.Length, 0, 120));
        Assert.True(LaunchOptions.Parse(["-V"]).ShowVersion);
        Assert.Matches("^cnvm-vmm v[0-9.]+(\\+[0-9a-f]+)?\nMigration Protocol Versions: 0$", ProgramVersion.Describe(LogLevel.Warning));
        Assert.EndsWith("\nEnabled features: io_uring, kvm", ProgramVersion.Describe(LaunchOptions.Parse(["-Vv"]).LogLevel), StringComparison.Ordinal);
    }

    [Fact]
    public void Errors_tell_their_causes() =>
        Assert.Equal(
            "cnvm-vmm: a\n  because: b\n  because: c",
            ProgramOutput.Describe("cnvm-vmm", new IOException("a", new IOException("b", new IOException("b", new IOException("c"))))));

    private static VmConfig Vm(params string[] words)
    {
        VmConfig? vm = LaunchOptions.Parse(words).Vm;
        Assert.NotNull(vm);
        return vm;
    }

    private static void Refused(string expected, params string[] words) =>
        Assert.Contains(expected, Assert.Throws<CommandLineException>(() => LaunchOptions.Parse(words)).Message, StringComparison.Ordinal);
}
