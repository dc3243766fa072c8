using Cnvm.Vmm;
using Cnvm.Vmm.Config;

namespace Cnvm.Api.Tests;

/// <summary>Every endpoint, and which errors get which status.</summary>
public sealed class RouteTests : IDisposable
{
    private const string Body = """{"payload":{"kernel":"/boot/kernel"}}""";
    private readonly ServerFixture _server = new();
    private readonly RawClient _client;

    public RouteTests() => _client = _server.Connect();

    public void Dispose()
    {
        _client.Dispose();
        _server.Dispose();
    }

    [Fact]
    public void A_life_from_create_to_delete()
    {
        Assert.Equal(204, _client.Request("PUT", "vm.create", Body).Status);
        Assert.Equal("Created", State());
        foreach ((string call, string state) in new[]
        {
            ("boot", "Running"), ("pause", "Paused"), ("resume", "Running"), ("reboot", "Running"), ("shutdown", "Shutdown"),
        })
        {
            RawAnswer answer = _client.Request("PUT", "vm." + call);
            Assert.Equal((204, ""), (answer.Status, answer.Text));
            Assert.Equal(state, State());
        }

        Assert.Equal(204, _client.Request("PUT", "vm.power-button").Status);
        Assert.Equal(204, _client.Request("PUT", "vm.nmi").Status);
        Assert.Equal(204, _client.Request("PUT", "vm.delete").Status);
        Assert.Equal(404, _client.Request("GET", "vm.info").Status);
        Assert.Equal(
            ["create", "info", "boot", "info", "pause", "info", "resume", "info", "reboot", "info", "shutdown", "info", "power-button", "nmi", "delete", "info"],
            _server.Vmm.Calls);
    }

    [Fact]
    public void Info_has_config_state_and_memory()
    {
        _client.Request("PUT", "vm.create", """{"payload":{"kernel":"/k\u00e4se"},"disks":[{"path":"/d"}]}""");
        RawAnswer answer = _client.Request("GET", "vm.info");
        Assert.Equal(200, answer.Status);
        Assert.Equal("/d", answer.Json.GetProperty("config").GetProperty("disks")[0].GetProperty("path").GetString());
        Assert.Equal("Created", answer.Json.GetProperty("state").GetString());
        Assert.Equal(1UL << 30, answer.Json.GetProperty("memory_actual_size").GetUInt64());
        Assert.Contains("\\u00E4", answer.Text, StringComparison.Ordinal);
        Assert.All(answer.Body, b => Assert.InRange(b, 0x20, 0x7e));
    }

    [Fact]
    public void Counters_are_by_device_and_name()
    {
        RawAnswer answer = _client.Request("GET", "vm.counters");
        Assert.Equal("""{"_net1":{"rx_bytes":18446744073709551615,"tx_bytes":7}}""", answer.Text);
    }

    [Theory]
    [InlineData("vm.resize", """{"desired_vcpus":2,"desired_ram":null,"more":1}""", "VmResize { DesiredVcpus = 2, DesiredRam = , DesiredBalloon =  }")]
    [InlineData("vm.resize-disk", """{"id":"d","desired_size":5}""", "VmResizeDisk { Id = d, DesiredSize = 5 }")]
    [InlineData("vm.resize-zone", """{"id":"z","desired_ram":5}""", "VmResizeZone { Id = z, DesiredRam = 5 }")]
    [InlineData("vm.remove-device", """{"id":"x"}""", "remove x")]
    [InlineData("vm.snapshot", """{"destination_url":"file:///d"}""", "VmSnapshotConfig { DestinationUrl = file:///d, TrackChanges = False, Incremental = False, Compress = False, Disks = False }")]
    [InlineData("vm.coredump", """{"destination_url":"file:///d"}""", "VmCoredumpData { DestinationUrl = file:///d }")]
    [InlineData("vm.restore", """{"source_url":"file:///d","zone_updates":[]}""", "restore file:///d Copy prefault=False resume=False 0")]
    [InlineData("vm.receive-migration", """{"receiver_url":"unix:/s"}""", "receive unix:/s")]
    [InlineData("vm.send-migration", """{"destination_url":"unix:/s","timeout_strategy":"Ignore"}""", null)]
    public void Bodies_reach_the_vmm_and_must_be_complete(string endpoint, string body, string? call)
    {
        Assert.Equal(204, _client.Request("PUT", endpoint, body).Status);
        Assert.Equal(call ?? _server.Vmm.Calls[0], Assert.Single(_server.Vmm.Calls));
        Assert.Equal(endpoint == "vm.resize" ? 204 : 400, _client.Request("PUT", endpoint, "{}").Status);
        Assert.Equal(400, _client.Request("PUT", endpoint, "[]").Status);
        Assert.Equal(400, _client.Request("PUT", endpoint).Status);
        Assert.Equal(400, _client.Request("GET", endpoint).Status);
    }

    [Fact]
    public void A_migration_is_shown_changed_and_cancelled()
    {
        RawAnswer answer = _client.Request("GET", "vm.migration");
        Assert.Equal(
            (200, """{"side":"Source","phase":"Precopy","guest":"Here","url":"unix:/s","rounds":2,"memory_bytes":1073741824,"data_pages":3,"zero_pages":4,"transferred_bytes":5,"remaining_bytes":6,"bandwidth_bytes_per_s":7,"dirty_bytes_per_s":8,"expected_downtime_ms":9,"throttle_percent":0,"elapsed_ms":10,"disk_bytes":11,"disk_data_bytes":12,"disk_zero_bytes":13,"postcopy_faults":14,"delta_pages":15,"delta_saved_bytes":16}"""),
            (answer.Status, answer.Text));
        Assert.Equal(204, _client.Request("PUT", "vm.migration-set", """{"downtime_ms":5}""").Status);
        Assert.Equal(204, _client.Request("PUT", "vm.migration-cancel").Status);
        Assert.Equal(["migration", "MigrationSettings { DowntimeMs = 5, TimeoutS = , MaxBytesPerS =  }", "migration-cancel"], _server.Vmm.Calls);
        Assert.Equal(400, _client.Request("PUT", "vm.migration-cancel", "{}").Status);
    }

    [Fact]
    public void Sending_answers_at_once_or_when_it_is_over()
    {
        _server.Vmm.OnCall = call =>
        {
            if (call == "migration-wait")
            {
                ThreadPool.QueueUserWorkItem(_ =>
                {
                    SpinWait.SpinUntil(() => _server.Vmm.MigrationWaits.Count > 0);
                    _server.Vmm.MigrationWaits[0](_server.Vmm.Migration());
                });
            }
        };
        Assert.Equal((204, ""), (_client.Request("PUT", "vm.send-migration", """{"destination_url":"unix:/s"}""").Status, ""));
        RawAnswer answer = _client.Request("PUT", "vm.send-migration", """{"destination_url":"unix:/s","wait":true}""");
        Assert.Equal(200, answer.Status);
        Assert.Contains("\"rounds\":2", answer.Text, StringComparison.Ordinal);
    }

    /// <summary>Whoever waits for something long keeps nobody else waiting, and has the answer even if the server ends right then.</summary>
    [Fact]
    public void An_answer_that_comes_late_holds_up_nobody()
    {
        // Ends in the middle of the test, so not the one that all tests have.
        var server = new ServerFixture();
        using RawClient waiting = server.Connect();
        waiting.Send("PUT /api/v1/vm.migration-wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
        using RawClient other = server.Connect();
        Assert.True(SpinWait.SpinUntil(() => Waits() == 1, TimeSpan.FromSeconds(30)));
        Assert.Equal(200, other.Request("GET", "vmm.ping").Status);
        Assert.Equal(204, other.Request("PUT", "vm.migration-cancel").Status);
        server.Vmm.MigrationWaits[0](server.Vmm.Migration());
        server.Dispose();
        RawAnswer answer = waiting.Receive();
        Assert.Equal(200, answer.Status);
        Assert.Contains("\"phase\":\"Precopy\"", answer.Text, StringComparison.Ordinal);

        int Waits()
        {
            lock (server.Vmm.MigrationWaits)
            {
                return server.Vmm.MigrationWaits.Count;
            }
        }
    }

    [Theory]
    [InlineData("vm.add-device", """{"path":"/sys/bus/pci/devices/0000:01:00.0"}""", typeof(DeviceConfig))]
    [InlineData("vm.add-user-device", """{"socket":"/s"}""", typeof(UserDeviceConfig))]
    [InlineData("vm.add-disk", """{"path":"/d"}""", typeof(DiskConfig))]
    [InlineData("vm.add-fs", """{"tag":"t","socket":"/s"}""", typeof(FsConfig))]
    [InlineData("vm.add-generic-vhost-user", """{"socket":"/s","queue_sizes":[64],"device_type":26}""", typeof(GenericVhostUserConfig))]
    [InlineData("vm.add-pmem", """{"file":"/p"}""", typeof(PmemConfig))]
    [InlineData("vm.add-net", """{"tap":"t0"}""", typeof(NetConfig))]
    [InlineData("vm.add-vdpa", """{"path":"/dev/vhost-vdpa-0","num_queues":1}""", typeof(VdpaConfig))]
    [InlineData("vm.add-vsock", """{"cid":3,"socket":"/s"}""", typeof(VsockConfig))]
    public void A_device_is_added_without_an_answer_before_boot_and_with_its_place_after(string endpoint, string body, Type type)
    {
        Assert.Equal(404, _client.Request("PUT", endpoint, body).Status);
        _client.Request("PUT", "vm.create", Body);
        RawAnswer cold = _client.Request("PUT", endpoint, body);
        Assert.Equal((204, ""), (cold.Status, cold.Text));
        Assert.Equal(type, _server.Vmm.Added!.Value.Device.GetType());
        _client.Request("PUT", "vm.delete");
        _client.Request("PUT", "vm.create", Body);
        _client.Request("PUT", "vm.boot");
        RawAnswer hot = _client.Request("PUT", endpoint, body[..^1] + ",\"id\":\"mine\"}");
        Assert.Equal((200, """{"id":"mine","bdf":"0000:00:06.0"}"""), (hot.Status, hot.Text));
        Assert.Equal(400, _client.Request("PUT", endpoint, "[]").Status);
        Assert.Equal(400, _client.Request("PUT", endpoint).Status);
    }

    [Theory]
    [InlineData("GET", "vm.create", Body)]
    [InlineData("PUT", "vm.create", null)]
    [InlineData("PUT", "vmm.ping", null)]
    [InlineData("PUT", "vm.info", null)]
    [InlineData("PATCH", "vm.info", null)]
    [InlineData("POST", "vm.boot", null)]
    [InlineData("GET", "vm.boot", null)]
    [InlineData("PUT", "vm.boot", "{}")]
    [InlineData("PUT", "vm.pause", " ")]
    [InlineData("PUT", "vmm.shutdown", "null")]
    [InlineData("GET", "vmm.ping", "{}")]
    public void Wrong_method_or_body_is_400(string method, string endpoint, string? body)
    {
        RawAnswer answer = _client.Request(method, endpoint, body);
        Assert.Equal(400, answer.Status);
        Assert.Equal("Error from API", answer.Chain[0]);
        Assert.Empty(_server.Vmm.Calls);
        Assert.False(_server.ShutdownRequested.IsSet);
    }

    [Theory]
    [InlineData("vm.fly")]
    [InlineData("")]
    [InlineData("vm.info/")]
    [InlineData("vm.info?x=1")]
    [InlineData("../v1/vm.info")]
    public void Unknown_routes_are_404(string endpoint) => Assert.Equal(404, _client.Request("GET", endpoint).Status);

    [Theory]
    [InlineData(VmmErrorKind.Invalid, 400)]
    [InlineData(VmmErrorKind.NotFound, 404)]
    [InlineData(VmmErrorKind.Conflict, 409)]
    [InlineData(VmmErrorKind.Busy, 429)]
    [InlineData(VmmErrorKind.Internal, 500)]
    public void Error_kinds_become_statuses_and_causes_a_chain(VmmErrorKind kind, int status)
    {
        _server.Vmm.OnCall = _ => throw new VmmException(kind, "outer", new IOException("inner"));
        RawAnswer answer = _client.Request("PUT", "vm.boot");
        Assert.Equal(status, answer.Status);
        Assert.Equal(["Error from API", "The VM could not boot", "outer", "inner"], answer.Chain);
    }

    [Fact]
    public void A_defect_in_a_call_is_500_and_the_server_lives_on()
    {
        _server.Vmm.OnCall = _ => throw new InvalidOperationException("defect");
        RawAnswer answer = _client.Request("PUT", "vm.pause");
        Assert.Equal(500, answer.Status);
        Assert.Equal(["Error from API", "The VM could not be paused", "defect"], answer.Chain);
        Assert.Equal(200, _client.Request("GET", "vmm.ping").Status);
    }

    [Fact]
    public void Wrong_configurations_never_reach_the_vmm()
    {
        RawAnswer twice = _client.Request("PUT", "vm.create", """{"payload":{"kernel":"/k"},"disks":[{"path":"/d","id":"a"},{"path":"/e","id":"a"}]}""");
        Assert.Equal(409, twice.Status);
        RawAnswer fs = _client.Request("PUT", "vm.create", """{"payload":{"kernel":"/k"},"fs":[{"tag":"t","socket":"/s"}]}""");
        Assert.Equal(400, fs.Status);
        Assert.Contains("memory.shared: fs[0] is a vhost-user device", fs.Chain[^1], StringComparison.Ordinal);
        Assert.Empty(_server.Vmm.Calls);
    }

    [Fact]
    public void Descriptor_numbers_in_a_create_body_mean_nothing()
    {
        Assert.Equal(204, _client.Request("PUT", "vm.create", """{"payload":{"kernel":"/k"},"net":[{"fds":[0,1,2]}]}""").Status);
        Assert.Null(_server.Vmm.Config!.Net![0].Fds);
    }

    [Fact]
    public void The_client_of_this_library_speaks_to_the_server()
    {
        using CnvmClient client = CnvmClient.Connect(_server.SocketPath);
        Assert.Equal(4711, client.Ping().Pid);
        var config = new VmConfig(Payload: new PayloadConfig(Kernel: "/k"), Disks: [new DiskConfig(Path: "/d", Readonly: true)]);
        client.Create(config);
        client.Boot();
        VmInfo info = client.Info();
        Assert.Equal(VmState.Running, info.State);
        Assert.Equal(config.Disks, info.Config.Disks);
        Assert.Equal(7UL, client.Counters()["_net1"]["tx_bytes"]);
        client.Delete();
        ApiCallException refused = Assert.Throws<ApiCallException>(() => client.Info());
        Assert.Equal(404, refused.Status);
        Assert.Equal("Error from API", refused.Chain[0]);
        client.ShutdownVmm();
        Assert.True(_server.ShutdownRequested.Wait(TimeSpan.FromSeconds(20)));
    }

    private string? State() => _client.Request("GET", "vm.info").Json.GetProperty("state").GetString();
}
