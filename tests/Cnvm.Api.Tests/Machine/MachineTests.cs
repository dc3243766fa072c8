using System.Text.Json;

namespace Cnvm.Api.Tests.Machine;

/// <summary>The API in front of machines that run.</summary>
public sealed class MachineTests : IDisposable
{
    private readonly MachineFixture _vmm = new();
    private readonly RawClient _client;

    public MachineTests() => _client = _vmm.Connect();

    public void Dispose()
    {
        _client.Dispose();
        _vmm.Log.ExpectNone();
        _vmm.Dispose();
    }

    [Fact]
    public void A_machine_lives_from_create_to_delete()
    {
        Expect(204, "vm.create", _vmm.Body());
        Assert.Equal("Created", State());
        Expect(500, "vm.create", _vmm.Body());
        Expect(500, "vm.pause");
        Expect(204, "vm.boot");
        Assert.Equal("Running", State());
        Expect(500, "vm.boot");
        Expect(500, "vm.resume");
        Expect(204, "vm.pause");
        Expect(500, "vm.pause");
        Assert.Equal("Paused", State());
        Expect(204, "vm.resume");
        Expect(204, "vm.power-button");
        Expect(204, "vm.reboot");
        Expect(204, "vm.shutdown");
        Assert.Equal("Shutdown", State());
        Expect(500, "vm.shutdown");
        Expect(204, "vm.boot");
        Expect(204, "vm.delete");
        Expect(204, "vm.delete");
        Assert.Equal(404, _client.Request("GET", "vm.info").Status);
        Assert.Equal(
            [
                "vmm.starting", "vm.booting", "vm.booted", "vm.pausing", "vm.paused", "vm.resuming", "vm.resumed", "vm.rebooting",
                "vm.rebooted", "vm.shutdown", "vm.booting", "vm.booted", "vm.deleted",
            ],
            _vmm.Events);
    }

    [Fact]
    public void An_nmi_reaches_the_guest_which_has_no_handler_and_is_reset()
    {
        Expect(204, "vm.create", _vmm.Body());
        Expect(204, "vm.boot");
        Expect(204, "vm.nmi");
        Assert.True(SpinWait.SpinUntil(() => _vmm.Events.Contains("vm.rebooted"), TimeSpan.FromSeconds(20)));
        Assert.Equal("Running", State());
    }

    [Fact]
    public void Counters_and_metrics_count()
    {
        Expect(204, "vm.create", _vmm.Body($$""","disks":[{"path":"{{_vmm.Disk("a")}}","id":"disk \"ä\""},{"path":"{{_vmm.Disk("b")}}"}]"""));
        Assert.Equal(500, _client.Request("GET", "vm.counters").Status);
        Assert.Contains("cnvm_vm_state{state=\"Created\"} 1\n", Metrics(), StringComparison.Ordinal);
        Expect(204, "vm.boot");
        JsonElement counters = _client.Request("GET", "vm.counters").Json;
        Assert.Equal(
            [
                "read_bytes", "read_latency_avg", "read_latency_max", "read_latency_min", "read_ops", "write_bytes", "write_latency_avg",
                "write_latency_max", "write_latency_min", "write_ops",
            ],
            counters.GetProperty("_disk0").EnumerateObject().Select(p => p.Name).Order(StringComparer.Ordinal));
        string wanted = $"cnvm_vcpu_exits_total{{vcpu=\"0\",kind=\"port_out\"}} {TinyKernel.PortWrites}\n";
        Assert.True(SpinWait.SpinUntil(() => Metrics().Contains(wanted, StringComparison.Ordinal), TimeSpan.FromSeconds(20)), Metrics());
        string text = Metrics();
        Assert.Contains("cnvm_device_read_bytes_total{device=\"disk \\\"\\\\u00E4\\\"\"} 0\n", text, StringComparison.Ordinal);
        Assert.Contains("cnvm_device_write_latency_max_seconds{device=\"_disk0\"} 0\n", text, StringComparison.Ordinal);
        Assert.Contains("cnvm_api_request_duration_seconds_count{endpoint=\"vm.boot\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("cnvm_api_errors_total{endpoint=\"vm.counters\",class=\"5xx\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("cnvm_vm_memory_bytes 8388608\n", text, StringComparison.Ordinal);
        Assert.All(text.TrimEnd('\n').Split('\n'), line => Assert.Matches("^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\\{[^{}]+\\})? [-+.0-9eE]+)$", line));
    }

    [Fact]
    public void Every_family_of_metrics_is_described_once_and_every_series_stands_once()
    {
        Expect(204, "vm.create", _vmm.Body());
        Expect(204, "vm.boot");
        string[] lines = Metrics().TrimEnd('\n').Split('\n');
        string[] types = [.. lines.Where(l => l.StartsWith("# TYPE ", StringComparison.Ordinal)).Select(l => l.Split(' ')[2])];
        Assert.Equal(types.Distinct(), types);
        string[] series = [.. lines.Where(l => l[0] != '#').Select(l => l[..l.LastIndexOf(' ')])];
        Assert.Equal(series.Distinct(), series);
        Assert.All(series, s => Assert.Contains(types, t => s.Split('{')[0] is { } name
            && (name == t || name == t + "_bucket" || name == t + "_sum" || name == t + "_count")));
    }

    [Fact]
    public void A_booted_machine_takes_devices_and_asks_the_guest_to_give_them_up()
    {
        Expect(204, "vm.create", _vmm.Body());
        Expect(204, "vm.add-disk", $$"""{"path":"{{_vmm.Disk("a")}}","id":"a"}""");
        Expect(204, "vm.boot");
        string second = Added($$"""{"path":"{{_vmm.Disk("c")}}"}""");
        Assert.Equal("_disk", second[..5]);
        Expect(204, "vm.pause");
        Assert.Equal("d", Added($$"""{"path":"{{_vmm.Disk("d")}}","id":"d"}"""));
        Expect(204, "vm.resume");

        // What cannot be added leaves the machine as it was; a name is given once.
        RawAnswer answer = _client.Request("PUT", "vm.add-disk", """{"path":"/nonexistent/disk","id":"e"}""");
        Assert.Equal(500, answer.Status);
        Assert.Contains("/nonexistent/disk", answer.Chain[^1], StringComparison.Ordinal);
        Expect(409, "vm.add-disk", $$"""{"path":"{{_vmm.Disk("f")}}","id":"d"}""");
        Assert.Equal(["a", second, "d"], Disks());
        Assert.Equal("e", Added($$"""{"path":"{{_vmm.Disk("e")}}","id":"e"}"""));

        // This guest never gives anything up: a device that is to go is there until the machine begins anew.
        Expect(404, "vm.remove-device", """{"id":"b"}""");
        Expect(204, "vm.remove-device", """{"id":"d"}""");
        Expect(204, "vm.remove-device", """{"id":"d"}""");
        Assert.Equal(["a", second, "d", "e"], Disks());
        Expect(204, "vm.reboot");
        Assert.Equal(["a", second, "e"], Disks());
        Expect(204, "vm.remove-device", """{"id":"e"}""");
        Expect(204, "vm.shutdown");
        Assert.Equal(["a", second], Disks());

        // Another device of the same name has nothing to do with it.
        Expect(204, "vm.add-disk", $$"""{"path":"{{_vmm.Disk("g")}}","id":"e"}""");
        Expect(204, "vm.boot");
        Expect(204, "vm.reboot");
        Assert.Equal(["a", second, "e"], Disks());

        // A slot that one device asks for is not given to another when the machine begins anew.
        Assert.Equal("f", Added($$"""{"path":"{{_vmm.Disk("f")}}","id":"f","pci_device_id":9}"""));
        Expect(204, "vm.reboot");
        Expect(204, "vm.shutdown");
    }

    /// <summary>The guest was shown its processor long ago; only one that boots anew needs the file.</summary>
    [Fact]
    public void A_booted_machine_takes_devices_when_its_profile_is_gone()
    {
        string profile = Path.Combine(_vmm.Folder, "fleet.json");
        File.WriteAllText(profile, """{"name":"fleet","base":"x86-64-v2"}""");
        Expect(204, "vm.create", _vmm.Body($$""","cpus":{"boot_vcpus":1,"max_vcpus":1,"profile":"{{profile}}"}"""));
        Expect(204, "vm.boot");
        File.Delete(profile);

        Assert.Equal("d", Added($$"""{"path":"{{_vmm.Disk("d")}}","id":"d"}"""));
        Expect(204, "vm.shutdown");
        Expect(400, "vm.add-disk", $$"""{"path":"{{_vmm.Disk("e")}}","id":"e"}""");
    }

    [Fact]
    public void Disks_of_a_booted_machine_get_other_sizes()
    {
        Expect(204, "vm.create", _vmm.Body());
        Expect(204, "vm.add-disk", $$"""{"path":"{{_vmm.Disk("a")}}","id":"a"}""");
        Expect(204, "vm.boot");
        Expect(404, "vm.resize-disk", """{"id":"b","desired_size":4096}""");
        Expect(400, "vm.resize-disk", """{"id":"a","desired_size":4095}""");
        Expect(204, "vm.resize-disk", """{"id":"a","desired_size":2097152}""");
        Assert.Equal(2097152, new FileInfo(Path.Combine(_vmm.Folder, "a")).Length);
        Expect(204, "vm.pause");
        Expect(204, "vm.resize-disk", """{"id":"a","desired_size":1048576}""");
        Expect(204, "vm.resume");
        Expect(400, "vm.resize", """{"desired_ram":16777216}""");
        Expect(204, "vm.resize", """{"desired_ram":8388608,"desired_vcpus":1}""");
        Expect(500, "vm.snapshot", """{"destination_url":"file:///tmp"}""");
        JsonElement info = _client.Request("GET", "vm.info").Json;
        Assert.Equal("a", Assert.Single(info.GetProperty("config").GetProperty("disks").EnumerateArray().ToArray()).GetProperty("id").GetString());
        Expect(204, "vm.shutdown");
        Expect(204, "vm.remove-device", """{"id":"a"}""");
        Expect(204, "vm.boot");
        Assert.Equal("{}", _client.Request("GET", "vm.counters").Text);
    }

    [Fact]
    public void A_shutdown_of_the_vmm_answers_first()
    {
        Expect(204, "vm.create", _vmm.Body());
        Expect(204, "vm.boot");
        RawAnswer answer = _client.Request("PUT", "vmm.shutdown");
        Assert.Equal((200, ""), (answer.Status, answer.Text));
        Assert.Contains("Content-Length: 0\r\n", answer.Head, StringComparison.Ordinal);
        Assert.True(_vmm.ShutdownRequested.Wait(TimeSpan.FromSeconds(3)));
        Assert.Equal(["vm.deleted", "vmm.shutdown"], _vmm.Events.TakeLast(2));
    }

    private void Expect(int status, string endpoint, string? body = null)
    {
        RawAnswer answer = _client.Request("PUT", endpoint, body);
        Assert.True(answer.Status == status, $"{endpoint}: {answer.Status} {answer.Text}");
    }

    private string? State() => _client.Request("GET", "vm.info").Json.GetProperty("state").GetString();

    private string Metrics()
    {
        RawAnswer answer = _client.Request("GET", "vmm.metrics");
        Assert.Equal(200, answer.Status);
        Assert.Contains("Content-Type: text/plain; version=0.0.4\r\n", answer.Head, StringComparison.Ordinal);
        return answer.Text;
    }

    /// <summary>Adds a disk to a booted machine; returns its name.</summary>
    private string Added(string disk)
    {
        RawAnswer answer = _client.Request("PUT", "vm.add-disk", disk);
        Assert.Equal(200, answer.Status);
        Assert.Matches("^0000:00:[0-9a-f]{2}\\.0$", answer.Json.GetProperty("bdf").GetString());
        return answer.Json.GetProperty("id").GetString()!;
    }

    private string[] Disks() =>
        [.. _client.Request("GET", "vm.info").Json.GetProperty("config").GetProperty("disks").EnumerateArray().Select(d => d.GetProperty("id").GetString()!)];
}
