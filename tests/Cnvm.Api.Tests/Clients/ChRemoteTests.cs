using System.Text.Json;
using Cnvm.Api.Tests.Machine;
using Cnvm.Linux;
using Cnvm.Virtio.Tests.Support;

namespace Cnvm.Api.Tests.Clients;

/// <summary>The commands of ch-remote, as it writes and reads them: one connection each.</summary>
public sealed class ChRemoteTests
{
    [SkippableFact]
    public void Its_commands_work_from_create_to_shutdown() => NetworkNamespace.Run(() =>
    {
        using var vmm = new MachineFixture();
        Assert.Equal(200, Call("GET", "vmm.ping").Status);
        Assert.Equal((404, 404), (Call("GET", "vm.info").Status, Call("PUT", "vm.boot").Status));
        (int status, string error) = Call("PUT", "vm.create", """{"payload":{"kernel":"/käse"},"disks":[{"path":"/a","queue_size":3}]}""");
        Assert.Equal(400, status);
        Assert.Contains(JsonSerializer.Deserialize<string[]>(error)!, s => s.Contains("disks[0].queue_size", StringComparison.Ordinal));
        Assert.Equal((204, ""), Call("PUT", "vm.create", vmm.Body(",\"cpus\":{\"boot_vcpus\":2,\"max_vcpus\":2}")));
        Assert.Equal((204, ""), Call("PUT", "vm.add-disk", $$"""{"path":"{{vmm.Disk("disk")}}","id":"disk0"}"""));

        // Two queue pairs by two descriptors, which go with the first bytes, long before the body that they belong to.
        using TapQueue first = TapQueue.Open("cnvm%d", multiQueue: true);
        using TapQueue second = TapQueue.Open(first.Name, multiQueue: true);
        Assert.Equal((204, ""), Call("PUT", "vm.add-net", """{"id":"net0","num_queues":4,"fds":[7,8]}""", first.Fd, second.Fd));
        (status, error) = Call("PUT", "vm.add-net", """{"num_queues":4}""", first.Fd);
        Assert.Equal(400, status);
        Assert.Contains("twice the number of descriptors (1)", error, StringComparison.Ordinal);

        Assert.Equal((204, ""), Call("PUT", "vm.boot"));
        JsonElement info = JsonDocument.Parse(Call("GET", "vm.info").Body).RootElement;
        Assert.Equal("Running", info.GetProperty("state").GetString());
        JsonElement net = Assert.Single(info.GetProperty("config").GetProperty("net").EnumerateArray().ToArray());
        Assert.Equal(2, net.GetProperty("fds").GetArrayLength());
        Assert.DoesNotContain(7, net.GetProperty("fds").EnumerateArray().Select(f => f.GetInt32()));
        JsonElement tree = info.GetProperty("device_tree");
        Assert.Equal("_virtio-pci-net0", tree.GetProperty("net0").GetProperty("parent").GetString());
        JsonElement transport = tree.GetProperty("_virtio-pci-net0");
        Assert.Equal(["net0"], transport.GetProperty("children").EnumerateArray().Select(c => c.GetString()));
        Assert.Matches("^0000:00:[0-9a-f]{2}\\.0$", transport.GetProperty("pci_bdf").GetString());
        foreach (string command in new[] { "vm.pause", "vm.resume", "vm.reboot", "vm.power-button" })
        {
            Assert.Equal((204, ""), Call("PUT", command));
        }

        Assert.Contains("\"net0\":{\"rx_bytes\":", Call("GET", "vm.counters").Body, StringComparison.Ordinal);
        Assert.Equal(400, Call("PUT", "vm.restore", """{"source_url":"file:///nowhere","net_fds":[{"id":"net0","num_fds":2}]}""", first.Fd).Status);
        Assert.Equal((204, ""), Call("PUT", "vm.shutdown"));
        Assert.Equal((204, ""), Call("PUT", "vm.delete"));
        Assert.Equal((200, ""), Call("PUT", "vmm.shutdown"));
        Assert.True(vmm.ShutdownRequested.Wait(TimeSpan.FromSeconds(3)));
        vmm.Log.ExpectNone();

        (int Status, string Body) Call(string method, string command, string? body = null, params int[] fds)
        {
            using var client = new PlainClient(vmm.SocketPath);
            return client.ChRemote(method, command, body, fds);
        }
    });
}
