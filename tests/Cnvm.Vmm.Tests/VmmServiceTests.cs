using Cnvm.Api;
using Cnvm.Hypervisor;
using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Requests;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Vmm.Tests;

/// <summary>The life cycle where no guest runs; guests are in Cnvm.Guest.Tests.</summary>
public sealed class VmmServiceTests : IDisposable
{
    private readonly VmmThread _thread = new();
    private readonly List<string> _events = [];
    private readonly VmmService _service;
    private int _opened;

    public VmmServiceTests() => _service = new VmmService(
        new VmmOptions
        {
            OpenHypervisor = () =>
            {
                _opened++;
                throw new HypervisorException("there is no hypervisor here");
            },
            Ping = new VmmPing("v1", "1", 1, []),
            Logging = NullLoggerFactory.Instance,
            ConfigCodec = new VmConfigCodec(),
            OnEvent = e => _events.Add($"{e.Source}.{e.Name}"),
            OnExit = _ => { },
        },
        _thread);

    public void Dispose()
    {
        _thread.Dispose();
        _service.Dispose();
    }

    [Fact]
    public void Everything_but_create_needs_a_machine()
    {
        foreach (Action call in new Action[]
        {
            _service.Boot, _service.Pause, _service.Resume, _service.Reboot, _service.PowerButton, _service.Nmi, _service.Shutdown,
            () => _service.Info(), () => _service.Counters(), () => _service.AddDevice(new DiskConfig("/d"), []),
            () => _service.RemoveDevice("x"), () => _service.Resize(new VmResize(1)), () => _service.ResizeDisk(new VmResizeDisk("d", 1)),
            () => _service.ResizeZone(new VmResizeZone("z", 1)), () => _service.Snapshot(new VmSnapshotConfig("file:///d")),
            () => _service.Coredump(new VmCoredumpData("file:///d")), () => _service.SendMigration(new SendMigrationData("unix:/s")),
        })
        {
            Assert.Equal(VmmErrorKind.NotFound, Assert.Throws<VmmException>(call).Kind);
        }

        _service.Create(Config());
        foreach (Action call in new Action[]
        {
            _service.Pause, _service.Resume, _service.Reboot, _service.PowerButton, _service.Nmi, _service.Shutdown,
            () => _service.Counters(), () => _service.Snapshot(new VmSnapshotConfig("file:///d")),
        })
        {
            Assert.Equal(VmmErrorKind.Internal, Assert.Throws<VmmException>(call).Kind);
        }

        _service.Delete();
        _service.Delete();
        _service.ShutdownVmm();
        _service.Dispose();
        Assert.Equal(["vmm.starting", "vm.deleted", "vmm.shutdown"], _events);
    }

    [Fact]
    public void Snapshot_needs_a_machine_and_restore_none()
    {
        Assert.Equal(VmmErrorKind.NotFound, Assert.Throws<VmmException>(() => _service.Snapshot(new VmSnapshotConfig("file:///tmp"))).Kind);
        _service.Create(Config());
        Assert.Contains("vm.delete", Assert.Throws<VmmException>(() => _service.Restore(new RestoreConfig("file:///tmp"), [])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_restore_that_is_refused_leaves_no_vm()
    {
        string folder = Directory.CreateTempSubdirectory("cnvm-restore-").FullName;
        try
        {
            Assert.Equal(VmmErrorKind.Invalid, Assert.Throws<ConfigException>(() => _service.Restore(new RestoreConfig(folder), [])).Kind);
            Assert.Equal(
                VmmErrorKind.Invalid,
                Assert.Throws<ConfigException>(() => _service.Restore(
                    new RestoreConfig($"file://{folder}", Prefault: true, MemoryRestoreMode: MemoryRestoreMode.OnDemand), [])).Kind);
            VmmException e = Assert.Throws<VmmException>(() => _service.Restore(new RestoreConfig($"file://{folder}"), []));
            Assert.Contains("state.json", e.InnerException!.Message, StringComparison.Ordinal);
            Assert.Equal(0, _opened);
            Assert.Equal(VmmErrorKind.NotFound, Assert.Throws<VmmException>(() => _service.Info()).Kind);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Create_gives_addresses_boot_names_devices_and_only_boot_asks_for_a_hypervisor()
    {
        _service.Create(Config() with { Net = [new NetConfig(), new NetConfig(Mac: "2e:00:00:00:00:01")] });
        VmInfo info = _service.Info();
        Assert.Equal(VmState.Created, info.State);
        Assert.All(info.Config.Net!, n => Assert.Null(n.Id));
        Assert.Matches("^([0-9a-f]{2}:){5}[0-9a-f]{2}$", info.Config.Net![0].Mac!);
        Assert.Equal("2e:00:00:00:00:01", info.Config.Net[1].Mac);
        Assert.Equal(512UL << 20, info.MemoryActualSize);
        Assert.Equal(0, _opened);
        Assert.Null(_service.AddDevice(new DiskConfig("/d"), []));
        Assert.Throws<VmmException>(_service.Boot);
        Assert.Equal(1, _opened);
        info = _service.Info();
        Assert.Equal("_disk0 _net1 _net2", $"{info.Config.Disks![0].Id} {string.Join(' ', info.Config.Net!.Select(n => n.Id))}");
        Assert.Null(_service.AddDevice(new DiskConfig("/e"), []));
        Assert.Throws<VmmException>(_service.Boot);
        Assert.Equal("_disk0 _disk3", string.Join(' ', _service.Info().Config.Disks!.Select(d => d.Id)));
    }

    [Fact]
    public void A_second_machine_is_refused_and_the_first_stays()
    {
        _service.Create(Config());
        Assert.Equal(VmmErrorKind.Internal, Assert.Throws<VmmException>(() => _service.Create(Config())).Kind);
        Assert.Equal(VmState.Created, _service.Info().State);
    }

    [Fact]
    public void A_boot_that_fails_says_why_and_leaves_the_machine_created()
    {
        _service.Create(Config());
        VmmException failure = Assert.Throws<VmmException>(_service.Boot);
        Assert.Equal("there is no hypervisor here", failure.InnerException!.Message);
        Assert.Equal(VmState.Created, _service.Info().State);
        Assert.Equal(VmmErrorKind.Internal, Assert.Throws<VmmException>(_service.Pause).Kind);
    }

    [Fact]
    public void A_wrong_configuration_is_refused_by_field()
    {
        ConfigException refused = Assert.Throws<ConfigException>(() => _service.Create(Config() with { Cpus = new CpusConfig(0, 0) }));
        Assert.Contains("cpus", refused.Message, StringComparison.Ordinal);
        Assert.Equal(VmmErrorKind.NotFound, Assert.Throws<VmmException>(() => _service.Info()).Kind);
    }

    [Fact]
    public void Delete_forgets_and_the_next_machine_starts_afresh()
    {
        _service.Create(Config());
        _service.Delete();
        Assert.Throws<VmmException>(() => _service.Info());
        _service.Create(Config());
        Assert.Equal(VmState.Created, _service.Info().State);
    }

    [Fact]
    public void Devices_come_and_go_before_boot()
    {
        _service.Create(Config());
        _service.AddDevice(new DiskConfig("/d", Id: "root"), []);
        _service.AddDevice(new NetConfig(Id: "nic"), []);
        Assert.Equal(VmmErrorKind.Conflict, Assert.Throws<ConfigException>(() => _service.AddDevice(new DiskConfig("/e", Id: "nic"), [])).Kind);
        Assert.Equal(VmmErrorKind.Conflict, Assert.Throws<ConfigException>(() => _service.AddDevice(new DiskConfig("/d"), [])).Kind);
        ConfigException wrong = Assert.Throws<ConfigException>(() => _service.AddDevice(new DiskConfig("/e", QueueSize: 3), []));
        Assert.Equal((VmmErrorKind.Invalid, "disks[1].queue_size"), (wrong.Kind, wrong.Problems[0].Field));
        _service.AddDevice(new VsockConfig(3, "/s", Id: "talk"), []);
        Assert.Equal(VmmErrorKind.Invalid, Assert.Throws<ConfigException>(() => _service.AddDevice(new VsockConfig(4, "/t"), [])).Kind);
        _service.RemoveDevice("talk");
        Assert.Null(_service.Info().Config.Vsock);
        Assert.Equal(VmmErrorKind.NotFound, Assert.Throws<VmmException>(() => _service.RemoveDevice("nobody")).Kind);
        _service.RemoveDevice("root");
        VmConfig config = _service.Info().Config;
        Assert.Empty(config.Disks!);
        Assert.Equal("nic", Assert.Single(config.Net!).Id);
    }

    [Fact]
    public void A_segment_takes_as_many_devices_as_it_has_slots()
    {
        _service.Create(Config());
        // The entropy device has one of 31 slots.
        for (int i = 0; i < 30; i++)
        {
            _service.AddDevice(new NetConfig(), []);
        }

        ConfigException full = Assert.Throws<ConfigException>(() => _service.AddDevice(new NetConfig(), []));
        Assert.Contains("no slot left", full.Message, StringComparison.Ordinal);
        Assert.Equal(30, _service.Info().Config.Net!.Count);
    }

    [Fact]
    public void Descriptors_live_as_long_as_the_device_that_has_them()
    {
        _service.Create(Config());
        FileDescriptor first = Descriptor();
        FileDescriptor second = Descriptor();
        FileDescriptor refused = Descriptor();
        _service.AddDevice(new NetConfig(Id: "a", Fds: [first.Value]), [first]);
        _service.AddDevice(new NetConfig(Id: "b", Fds: [second.Value]), [second]);
        Assert.Throws<ConfigException>(() => _service.AddDevice(new NetConfig(Fds: [refused.Value], NumQueues: 4), [refused]));
        Assert.False(refused.IsClosed);
        refused.Dispose();
        _service.RemoveDevice("a");
        Assert.True(first.IsClosed);
        Assert.False(second.IsClosed);
        _service.Delete();
        Assert.True(second.IsClosed);
    }

    [Fact]
    public void Sizes_change_in_the_configuration_before_boot()
    {
        _service.Create(Config());
        _service.Resize(new VmResize(DesiredRam: 1UL << 30));
        Assert.Equal(1UL << 30, _service.Info().MemoryActualSize);
        Assert.Equal(VmmErrorKind.Invalid, Assert.Throws<ConfigException>(() => _service.Resize(new VmResize(DesiredRam: 1))).Kind);
        Assert.Contains("cpus", Assert.Throws<ConfigException>(() => _service.Resize(new VmResize(DesiredVcpus: 5))).Message, StringComparison.Ordinal);
        Assert.Contains("balloon", Assert.Throws<ConfigException>(() => _service.Resize(new VmResize(DesiredBalloon: 0))).Message, StringComparison.Ordinal);
        Assert.Equal(VmmErrorKind.Internal, Assert.Throws<VmmException>(() => _service.ResizeZone(new VmResizeZone("z", 4096))).Kind);
        Assert.Equal(1UL << 30, _service.Info().MemoryActualSize);
        _service.Delete();
        _service.Create(Config() with { Memory = new MemoryConfig(0, Zones: [new MemoryZoneConfig("a", 4UL << 20), new MemoryZoneConfig("b", 4UL << 20)]) });
        _service.ResizeZone(new VmResizeZone("b", 8UL << 20));
        Assert.Equal(12UL << 20, _service.Info().MemoryActualSize);
    }

    [Fact]
    public void What_cnvm_lacks_is_refused_by_name_and_wrong_requests_by_field()
    {
        Assert.Equal(
            "vm.restore with vfio_fds or iommufd_fd is not supported yet by cnvm",
            Assert.Throws<VmmException>(() => _service.Restore(new RestoreConfig("file:///d", VfioFds: []), [])).Message);
        Assert.StartsWith(
            "tls_dir: /t/ca-cert.pem cannot be read",
            Assert.Throws<ConfigException>(() => Receive(new ReceiveMigrationData("tcp:127.0.0.1:1", TlsDir: "/t"))).Message,
            StringComparison.Ordinal);
        Refused("tls_peer_name", () => Receive(new ReceiveMigrationData("tcp:127.0.0.1:1", TlsPeerName: "n")));
        Refused("vfio_fds", () => Receive(new ReceiveMigrationData("tcp:127.0.0.1:1", VfioFds: [])));
        Refused("keep_source", () => _service.SendMigration(new SendMigrationData("unix:/s", Local: true, KeepSource: true)));
        Refused("with_disks", () => _service.SendMigration(new SendMigrationData("unix:/s", Local: true, WithDisks: true)));
        Refused("preserve_source", () => _service.SendMigration(new SendMigrationData("unix:/s", Local: true, PreserveSource: true)));
        Refused("memory_mode", () => _service.SendMigration(new SendMigrationData("tcp:h:1", Connections: 2, MemoryMode: MigrationMode.Postcopy)));
        Refused("timeout_strategy", () => _service.SendMigration(new SendMigrationData("tcp:h:1", Connections: 2, TimeoutStrategy: TimeoutStrategy.Postcopy)));
        Assert.StartsWith(
            "resume: no post-copy migration",
            Assert.Throws<VmmException>(() => _service.SendMigration(new SendMigrationData("tcp:h:1", Resume: true))).Message,
            StringComparison.Ordinal);
        Refused("tls_dir", () => _service.SendMigration(new SendMigrationData("tcp:h:1", TlsDir: "/t")));
        Refused("tls_peer_name", () => _service.SendMigration(new SendMigrationData("tcp:h:1", TlsPeerName: "n")));
        Refused("source_url", () => _service.Restore(new RestoreConfig("/d"), []));
        Refused("net_fds", () => _service.Restore(new RestoreConfig("file:///d", NetFds: [new RestoredNet("n", 2)], IommufdFd: -1), []));
        Refused("prefault", () => _service.Restore(new RestoreConfig("file:///d", Prefault: true, MemoryRestoreMode: MemoryRestoreMode.OnDemand), []));
        Refused("receiver_url", () => Receive(new ReceiveMigrationData("udp:1")));
        Refused("destination_url", () => _service.SendMigration(new SendMigrationData("tcp:host:0")));
        Refused("connections", () => _service.SendMigration(new SendMigrationData("tcp:h:1", Connections: 129)));
        Refused("connections", () => _service.SendMigration(new SendMigrationData("unix:/s", Connections: 2)));
        Refused("downtime_ms", () => _service.SendMigration(new SendMigrationData("unix:/s", DowntimeMs: 0)));
        Refused("timeout_s", () => _service.SendMigration(new SendMigrationData("unix:/s", TimeoutS: 0)));
        Refused("local", () => _service.SendMigration(new SendMigrationData("tcp:h:1", Local: true)));
        Refused("preserve_source", () => _service.SendMigration(new SendMigrationData("unix:/s", PreserveSource: true)));
        Refused("tls_dir", () => _service.SendMigration(new SendMigrationData("unix:/s", TlsDir: "/t")));
        Refused("memory_mode", () => _service.SendMigration(new SendMigrationData("unix:/s", Local: true, MemoryMode: MigrationMode.Postcopy)));

        void Receive(ReceiveMigrationData data) => _service.ReceiveMigration(data, [], _ => { });
        static void Refused(string field, Action call) => Assert.Equal(field, Assert.Throws<ConfigException>(call).Problems[0].Field);
    }

    private static FileDescriptor Descriptor() => new(FileDescriptor.Duplicate(0));

    private static VmConfig Config() => new(
        Payload: new PayloadConfig(Kernel: "/nowhere/vmlinux"),
        Serial: new SerialConfig(Mode: ConsoleMode.Null),
        Console: new ConsoleConfig(Mode: ConsoleMode.Off));
}
