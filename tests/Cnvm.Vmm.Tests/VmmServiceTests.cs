using Cnvm.Api;
using Cnvm.Hypervisor;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Snapshot;
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
            () => _service.Info(), () => _service.Counters(),
        })
        {
            Assert.Equal(VmmErrorKind.NotFound, Assert.Throws<VmmException>(call).Kind);
        }

        _service.Delete();
        Assert.Equal(["vmm.starting"], _events);
    }

    [Fact]
    public void Snapshot_needs_a_machine_and_restore_none()
    {
        Assert.Equal(VmmErrorKind.NotFound, Assert.Throws<VmmException>(() => _service.Snapshot(new SnapshotConfig("file:///tmp"))).Kind);
        _service.Create(Config());
        Assert.Contains("vm.delete", Assert.Throws<VmmException>(() => _service.Restore(new RestoreConfig("file:///tmp"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_restore_that_is_refused_leaves_no_vm()
    {
        string folder = Directory.CreateTempSubdirectory("cnvm-restore-").FullName;
        try
        {
            Assert.Equal(VmmErrorKind.Invalid, Assert.Throws<VmmException>(() => _service.Restore(new RestoreConfig(folder))).Kind);
            Assert.Equal(
                VmmErrorKind.Invalid,
                Assert.Throws<VmmException>(() => _service.Restore(
                    new RestoreConfig($"file://{folder}", Prefault: true, MemoryRestoreMode: MemoryRestoreMode.OnDemand))).Kind);
            VmmException e = Assert.Throws<VmmException>(() => _service.Restore(new RestoreConfig($"file://{folder}")));
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
    public void Create_names_devices_gives_addresses_and_asks_no_hypervisor()
    {
        _service.Create(Config() with { Net = [new NetConfig(), new NetConfig(Mac: "2e:00:00:00:00:01")] });
        VmInfo info = _service.Info();
        Assert.Equal(VmState.Created, info.State);
        Assert.Equal(["_net0", "_net1"], info.Config.Net!.Select(n => n.Id!));
        Assert.Matches("^([0-9a-f]{2}:){5}[0-9a-f]{2}$", info.Config.Net![0].Mac!);
        Assert.Equal("2e:00:00:00:00:01", info.Config.Net[1].Mac);
        Assert.Equal(512UL << 20, info.MemoryActualSize);
        Assert.Equal(0, _opened);
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
        Assert.Equal(VmmErrorKind.NotFound, Assert.Throws<VmmException>(_service.Pause).Kind);
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

    private static VmConfig Config() => new(
        Payload: new PayloadConfig(Kernel: "/nowhere/vmlinux"),
        Serial: new SerialConfig(Mode: ConsoleMode.Null),
        Console: new ConsoleConfig(Mode: ConsoleMode.Off));
}
