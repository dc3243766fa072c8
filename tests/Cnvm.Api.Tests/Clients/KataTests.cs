using System.Text.Json;
using System.Text.Json.Nodes;
using Cnvm.Api.Tests.Machine;
using Cnvm.Linux;
using Cnvm.Virtio.Tests.Support;

namespace Cnvm.Api.Tests.Clients;

/// <summary>
/// What Kata's two drivers say, in their order and form, to a machine that boots.
/// </summary>
public sealed class KataTests
{
    [SkippableFact]
    public void The_go_driver_starts_watches_and_stops_a_machine() => NetworkNamespace.Run(() =>
    {
        using var vmm = new MachineFixture();
        using var pooled = new PlainClient(vmm.SocketPath);
        Assert.Contains("\"version\"", pooled.Go("GET", "vmm.ping").Body, StringComparison.Ordinal);
        Create((method, command, body) => pooled.Go(method, command, body), GoBody(vmm));
        Assert.Equal("Created", State(pooled));

        // All interfaces go over one connection of their own, each request with its descriptor in one message.
        using (TapQueue tap = TapQueue.Open("kata%d", multiQueue: false))
        using (TapQueue another = TapQueue.Open("kata%d", multiQueue: false))
        using (var raw = new PlainClient(vmm.SocketPath))
        {
            Assert.Equal((204, ""), raw.Go("PUT", "vm.add-net", Net("02:00:ca:fe:00:01"), tap.Fd));
            Assert.Equal((204, ""), raw.Go("PUT", "vm.add-net", Net("02:00:ca:fe:00:02"), another.Fd));
        }

        Assert.Equal((204, ""), pooled.Go("PUT", "vm.boot"));
        Assert.Equal("Running", State(pooled));
        JsonElement config = Info(pooled).GetProperty("config");
        Assert.Equal(1, config.GetProperty("cpus").GetProperty("boot_vcpus").GetInt32());
        Assert.Equal(2UL << 30, config.GetProperty("memory").GetProperty("size").GetUInt64());
        Assert.Equal("_disk0 _net1 _net2", string.Join(' ', new[] { "disks", "net" }.SelectMany(k => config.GetProperty(k).EnumerateArray()).Select(d => d.GetProperty("id").GetString())));
        Assert.Equal(["192.168.249.1", "192.168.249.1"], config.GetProperty("net").EnumerateArray().Select(n => n.GetProperty("ip").GetString()!));
        Assert.Contains(Threads(), t => t == "vcpu0");
        Assert.True(File.Exists(Path.Combine(vmm.Folder, "clh.sock")), "the agent's socket is missing");

        // Its health check, and a hot-plugged disk, whose place becomes the agent's.
        Assert.Equal(200, pooled.Go("GET", "vmm.ping").Status);
        (int status, string body) = pooled.Go(
            "PUT",
            "vm.add-disk",
            $$"""{"path":"{{vmm.Disk("hot")}}","readonly":false,"image_type":"Raw","direct":false,"num_queues":1,"queue_size":1024,"vhost_user":false,"iommu":false}""");
        Assert.Equal(200, status);
        Assert.Matches("""^\{"id":"_disk[0-9]+","bdf":"0000:00:[0-9a-f]{2}\.0"\}$""", body);

        // A container with a share of two processors: its vCPU comes, and is asked for again when it goes.
        Assert.Equal((204, ""), pooled.Go("PUT", "vm.resize", """{"desired_vcpus":2}"""));
        Assert.Equal(2, Info(pooled).GetProperty("config").GetProperty("cpus").GetProperty("boot_vcpus").GetInt32());
        Assert.Contains(Threads(), t => t == "vcpu1");
        Assert.Equal((204, ""), pooled.Go("PUT", "vm.resize", """{"desired_vcpus":1}"""));
        Assert.Equal(1, Info(pooled).GetProperty("config").GetProperty("cpus").GetProperty("boot_vcpus").GetInt32());
        Assert.Equal(429, pooled.Go("PUT", "vm.resize", """{"desired_vcpus":2}""").Status);
        Assert.Equal(400, pooled.Go("PUT", "vm.resize", """{"desired_vcpus":3}""").Status);

        // It takes memory.size for what there is, and asks for blocks of 128 MiB more.
        Assert.Equal((204, ""), pooled.Go("PUT", "vm.resize", """{"desired_ram":2415919104}"""));
        Assert.Equal(2415919104UL, Info(pooled).GetProperty("config").GetProperty("memory").GetProperty("size").GetUInt64());
        Assert.Equal(2415919104UL, Info(pooled).GetProperty("memory_actual_size").GetUInt64());
        Assert.Equal((204, ""), pooled.Go("PUT", "vm.pause"));
        Assert.Equal((204, ""), pooled.Go("PUT", "vm.resume"));
        Assert.Equal(200, pooled.Go("GET", "vmm.ping").Status);
        Assert.Equal((200, ""), pooled.Go("PUT", "vmm.shutdown"));
        Assert.True(vmm.ShutdownRequested.Wait(TimeSpan.FromSeconds(3)));
        vmm.Log.ExpectNone();
    });

    [SkippableFact]
    public void Runtime_rs_does_so_over_one_connection() => NetworkNamespace.Run(() =>
    {
        using var vmm = new MachineFixture();
        using var client = new PlainClient(vmm.SocketPath);
        JsonElement ping = JsonDocument.Parse(client.ChRemote("GET", "vmm.ping").Body).RootElement;
        Assert.DoesNotContain("tdx", ping.GetProperty("features").EnumerateArray().Select(f => f.GetString()));
        Create((method, command, body) => client.ChRemote(method, command, body), RustBody(vmm));
        using (TapQueue tap = TapQueue.Open("kata%d", multiQueue: false))
        {
            Assert.Equal((204, ""), client.ChRemote("PUT", "vm.add-net", Net("02:00:ca:fe:00:03"), tap.Fd));
        }

        Assert.Equal((204, ""), client.ChRemote("PUT", "vm.boot"));
        (int status, string text) = client.ChRemote("GET", "vm.info");
        Assert.Equal(200, status);
        ExpectWhatItReadsStrictly(JsonDocument.Parse(text).RootElement);
        Assert.True(File.Exists(Path.Combine(vmm.Folder, "ch-vm.sock")), "the agent's socket is missing");
        Assert.Equal((204, ""), client.ChRemote("PUT", "vm.pause"));
        (status, text) = client.ChRemote("PUT", "vm.snapshot", $$"""{"destination_url":"file://{{vmm.Folder}}"}""");
        Assert.Equal((204, ""), (status, text));
        Assert.True(File.Exists(Path.Combine(vmm.Folder, "state.json")));
        Assert.Equal((204, ""), client.ChRemote("PUT", "vm.resume"));
        Assert.Equal(404, client.ChRemote("PUT", "vm.remove-device", """{"id":"_disk7"}""").Status);
        Assert.Equal((200, ""), client.ChRemote("PUT", "vmm.shutdown"));
        vmm.Log.ExpectNone();
    });

    /// <summary>Sends the body, but for the daemon of the shared folder: in its place the VMM serves a folder itself.</summary>
    private static void Create(Func<string, string, string, (int Status, string Body)> call, JsonObject body)
    {
        body["fs"]![0]!.AsObject().Remove("socket");
        body["fs"]![0]!["path"] = "/usr/share";
        Assert.Equal((204, ""), call("PUT", "vm.create", body.ToJsonString(new JsonSerializerOptions { WriteIndented = true })));
    }

    private static JsonObject GoBody(MachineFixture vmm) => JsonNode.Parse(
        $$$"""
        {
          "cpus": {"boot_vcpus": 1, "max_vcpus": 2, "topology": {"threads_per_core": 1, "cores_per_die": 2, "dies_per_package": 1, "packages": 1}},
          "memory": {"size": 2147483648, "hotplug_size": 8589934592, "hotplug_method": "Acpi", "shared": true, "hugepages": false, "mergeable": false},
          "payload": {"kernel": "{{{vmm.Kernel}}}", "cmdline": "root=/dev/vda1 rootflags=data=ordered,errors=remount-ro ro rootfstype=ext4 panic=1 quiet"},
          "disks": [{"path": "{{{vmm.Disk("image")}}}", "readonly": true, "image_type": "Raw", "num_queues": 1, "queue_size": 128, "vhost_user": false,
                     "rate_limiter_config": {"bandwidth": {"size": 1, "refill_time": 2}} }],
          "rng": {"src": "/dev/urandom", "iommu": false},
          "balloon": {"size": 0, "free_page_reporting": true},
          "fs": [{"tag": "kataShared", "socket": "/run/virtiofsd.sock", "num_queues": 1, "queue_size": 1024, "pci_segment": 1}],
          "serial": {"mode": "Off"},
          "console": {"mode": "Off", "iommu": false},
          "vsock": {"cid": 3, "socket": "{{{vmm.Folder}}}/clh.sock"},
          "platform": {"num_pci_segments": 2}
        }
        """)!.AsObject();

    private static JsonObject RustBody(MachineFixture vmm) => JsonNode.Parse(
        $$$"""
        {
          "cpus": {"boot_vcpus": 1, "max_vcpus": 4, "topology": {"threads_per_core": 1, "cores_per_die": 4, "dies_per_package": 1, "packages": 1},
                   "kvm_hyperv": false, "max_phys_bits": 46, "affinity": null, "features": {"amx": false}},
          "memory": {"size": 134217728, "mergeable": false, "hotplug_method": "Acpi", "hotplug_size": 4294967296, "hotplugged_size": null,
                     "shared": true, "hugepages": false, "hugepage_size": null, "prefault": false, "zones": null, "thp": false},
          "payload": {"firmware": null, "kernel": "{{{vmm.Kernel}}}", "cmdline": "reboot=k panic=1", "initramfs": null, "mrconfigid": null, "host_data": null},
          "disks": [{"path": "{{{vmm.Disk("image")}}}", "readonly": true, "direct": false, "iommu": false, "num_queues": 1, "queue_size": 128,
                     "vhost_user": false, "vhost_socket": null, "rate_limiter_config": null, "id": null, "disable_io_uring": false,
                     "pci_segment": 0, "image_type": "Unknown"}],
          "net": null, "balloon": null, "pmem": null, "devices": null, "user_devices": null, "vdpa": null, "numa": null, "platform": null,
          "rng": {"src": "/dev/urandom", "iommu": false},
          "fs": [{"tag": "kataShared", "socket": "/run/virtiofsd.sock", "num_queues": 1, "queue_size": 1024, "id": null, "pci_segment": 0}],
          "serial": {"file": null, "mode": "Off", "iommu": false},
          "console": {"file": null, "mode": "Null", "iommu": false},
          "vsock": {"cid": 3, "socket": "{{{vmm.Folder}}}/ch-vm.sock", "iommu": false, "id": null, "pci_segment": 0},
          "iommu": false, "sgx_epc": null, "watchdog": false
        }
        """)!.AsObject();

    private static string Net(string mac) =>
        $$"""{"ip":"192.168.249.1","mask":"255.255.255.0","mac":"{{mac}}","iommu":false,"num_queues":2,"queue_size":256,"vhost_user":false,"vhost_mode":"Client","offload_tso":true,"offload_ufo":true,"offload_csum":true}""";

    /// <summary>The fields without which its reader fails.</summary>
    private static void ExpectWhatItReadsStrictly(JsonElement info)
    {
        Assert.Contains(info.GetProperty("state").GetString(), (string[])["Created", "Running", "Shutdown", "Paused"]);
        JsonElement config = info.GetProperty("config");
        Assert.Equal(46, config.GetProperty("cpus").GetProperty("max_phys_bits").GetInt32());
        Assert.Equal(134217728, config.GetProperty("memory").GetProperty("size").GetInt64());
        Assert.Equal("Off", config.GetProperty("serial").GetProperty("mode").GetString());
        Assert.Equal("Null", config.GetProperty("console").GetProperty("mode").GetString());
        Assert.Equal("/dev/urandom", config.GetProperty("rng").GetProperty("src").GetString());
        Assert.Equal((1, 128), (config.GetProperty("disks")[0].GetProperty("num_queues").GetInt32(), config.GetProperty("disks")[0].GetProperty("queue_size").GetInt32()));
        Assert.Equal(3, config.GetProperty("vsock").GetProperty("cid").GetInt32());
        Assert.EndsWith("/ch-vm.sock", config.GetProperty("vsock").GetProperty("socket").GetString(), StringComparison.Ordinal);
        JsonElement net = config.GetProperty("net")[0];
        Assert.Equal(("192.168.249.1", "255.255.255.0", "02:00:ca:fe:00:03"), (net.GetProperty("ip").GetString(), net.GetProperty("mask").GetString(), net.GetProperty("mac").GetString()));
    }

    private static string? State(PlainClient client) => Info(client).GetProperty("state").GetString();

    private static JsonElement Info(PlainClient client) => JsonDocument.Parse(client.Go("GET", "vm.info").Body).RootElement;

    private static List<string> Threads()
    {
        List<string> names = [];
        foreach (string task in Directory.GetDirectories("/proc/self/task"))
        {
            try
            {
                names.Add(File.ReadAllText($"{task}/comm").Trim());
            }
            catch (IOException)
            {
                // Another test's thread, which has ended since its name was listed: ESRCH or ENOENT.
                continue;
            }
        }

        return names;
    }
}
