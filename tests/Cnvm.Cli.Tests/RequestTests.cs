using System.Text.Json;
using Cnvm.Linux;

namespace Cnvm.Cli.Tests;

/// <summary>What every command of ch-remote sends, byte for byte, and what it does with the answer.</summary>
public sealed class RequestTests : IDisposable
{
    private readonly CliRun _cli = new();

    private string Socket => Path.Combine(_cli.Folder, "fake.sock");

    public void Dispose() => _cli.Dispose();

    [Theory]
    [InlineData("PUT vm.boot", "boot")]
    [InlineData("PUT vm.delete", "delete")]
    [InlineData("PUT vmm.shutdown", "shutdown-vmm")]
    [InlineData("PUT vm.resume", "resume")]
    [InlineData("PUT vm.power-button", "power-button")]
    [InlineData("PUT vm.reboot", "reboot")]
    [InlineData("PUT vm.pause", "pause")]
    [InlineData("GET vm.info", "info")]
    [InlineData("GET vm.counters", "counters")]
    [InlineData("GET vmm.ping", "ping")]
    [InlineData("PUT vm.shutdown", "shutdown")]
    [InlineData("PUT vm.nmi", "nmi")]
    public void A_plain_command_is_one_request_without_a_body(string request, string command)
    {
        string[] parts = request.Split(' ');
        using var vmm = new FakeVmm(Socket, FakeVmm.Answer(200, "{\"a\":1}"));
        CliResult result = _cli.Run("--api-socket", Socket, command);
        Assert.Equal(new CliResult(0, "{\"a\":1}\n", ""), result);
        Assert.Equal([$"{parts[0]} /api/v1/{parts[1]} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"], vmm.Requests);
    }

    [Theory]
    [InlineData("vm.resize", """{"desired_vcpus":4,"desired_ram":2147483648,"desired_balloon":0}""", "resize", "--cpus", "4", "--memory", "2G", "--balloon=0")]
    [InlineData("vm.resize", """{"desired_vcpus":4}""", "resize", "--cpus", "4")]
    [InlineData("vm.resize-disk", """{"id":"_disk0","desired_size":1048576}""", "resize-disk", "--disk", "_disk0", "--size", "1M")]
    [InlineData("vm.resize-zone", """{"id":"z","desired_ram":1048576}""", "resize-zone", "--id", "z", "--size", "1M")]
    [InlineData("vm.remove-device", """{"id":"_net1"}""", "remove-device", "_net1")]
    [InlineData("vm.snapshot", """{"destination_url":"file:///a"}""", "snapshot", "file:///a")]
    [InlineData("vm.snapshot", """{"destination_url":"file:///a","track_changes":true,"disks":true}""", "snapshot", "destination_url=file:///a,track_changes=on,disks=on")]
    [InlineData("vm.snapshot", """{"destination_url":"file:///a","incremental":true,"compress":false}""", "snapshot", "destination_url=file:///a,incremental=on,compress=off")]
    [InlineData("vm.restore", """{"source_url":"file:///a","prefault":false,"resume":false,"disk_overrides":[{"id":"d","path":"/b/c"}]}""", "restore", "source_url=file:///a,disk_overrides=[d@/b/c]")]
    [InlineData("vm.restore", """{"source_url":"file:///a","prefault":false,"resume":true,"vsock_socket":"/v"}""", "restore", "source_url=file:///a,resume=on,vsock_socket=/v")]
    [InlineData("vm.coredump", """{"destination_url":"file:///a"}""", "coredump", "file:///a")]
    [InlineData("vm.add-fs", """{"tag":"t","socket":"/s","num_queues":1,"queue_size":1024,"pci_segment":0}""", "add-fs", "tag=t,socket=/s")]
    [InlineData("vm.add-pmem", """{"file":"/f","size":4096,"discard_writes":true,"id":"p","pci_segment":1}""", "add-pmem", "file=/f,size=4K,discard_writes=on,id=p,pci_segment=1")]
    [InlineData("vm.add-fs", """{"tag":"t","num_queues":1,"queue_size":64,"path":"/f","readonly":true,"cache":"None","pci_segment":0}""", "add-fs", "tag=t,path=/f,readonly=on,cache=none,queue_size=64")]
    [InlineData("vm.add-vsock", """{"cid":3,"socket":"/s","pci_segment":0}""", "add-vsock", "cid=3,socket=/s")]
    [InlineData("vm.add-vdpa", """{"path":"/dev/vhost-vdpa-0","num_queues":2,"pci_segment":0}""", "add-vdpa", "path=/dev/vhost-vdpa-0,num_queues=2")]
    [InlineData("vm.add-user-device", """{"socket":"/s","pci_segment":0}""", "add-user-device", "socket=/s")]
    [InlineData("vm.add-device", """{"path":"/sys/x","iommu":true,"pci_segment":0}""", "add-device", "path=/sys/x,iommu=on")]
    [InlineData("vm.add-generic-vhost-user", """{"socket":"/s","device_type":26,"pci_segment":0,"queue_sizes":[64,128]}""", "add-generic-vhost-user", "virtio_id=26,socket=/s,queue_sizes=[64,128]")]
    [InlineData("vm.restore", """{"source_url":"file:///a","prefault":false,"resume":false}""", "restore", "file:///a")]
    [InlineData("vm.restore", """{"source_url":"file:///a","prefault":true,"memory_restore_mode":"OnDemand","resume":true,"zone_updates":[{"id":"z","host_numa_node":1}]}""", "restore", "source_url=file:///a,prefault=on,resume=true,memory_restore_mode=ondemand,zone_updates=[z@1]")]
    [InlineData("vm.send-migration", """{"destination_url":"tcp:h:1","local":false}""", "send-migration", "tcp:h:1")]
    [InlineData("vm.send-migration", """{"destination_url":"unix:/a","local":true,"downtime_ms":5,"timeout_s":6,"timeout_strategy":"Ignore","connections":2,"memory_mode":"Postcopy"}""", "send-migration", "destination_url=unix:/a,local=on,downtime_ms=5,timeout_s=6,timeout_strategy=Ignore,connections=2,memory_mode=postcopy")]
    [InlineData("vm.send-migration", """{"destination_url":"unix:/a","local":false,"with_disks":true}""", "send-migration", "destination_url=unix:/a,with_disks=on")]
    [InlineData("vm.send-migration", """{"destination_url":"unix:/a","local":false,"timeout_strategy":"Postcopy","resume":true}""", "send-migration", "destination_url=unix:/a,timeout_strategy=postcopy,resume=on")]
    [InlineData("vm.receive-migration", """{"receiver_url":"unix:/a","disks":[{"id":"_disk0","path":"/d/a"},{"id":"b","path":"/d/b@c"}]}""", "receive-migration", "receiver_url=unix:/a,disks=[_disk0@/d/a,b@/d/b@c]")]
    [InlineData("vm.receive-migration", """{"receiver_url":"unix:/a","disks":[{"id":"b","path":"/b","overwrite":true}]}""", "receive-migration", "receiver_url=unix:/a,disks=[b@/b],overwrite=on")]
    [InlineData("vm.receive-migration", """{"receiver_url":"unix:/a"}""", "receive-migration", "unix:/a")]
    [InlineData("vm.receive-migration", """{"receiver_url":"tcp:0.0.0.0:1","tls_dir":"/t","tls_peer_name":"n"}""", "receive-migration", "receiver_url=tcp:0.0.0.0:1,tls_dir=/t,tls_peer_name=n")]
    public void A_command_with_arguments_sends_this_body(string endpoint, string body, params string[] args)
    {
        using var vmm = new FakeVmm(Socket, FakeVmm.Answer(204));
        CliResult result = _cli.Run(["--api-socket", Socket, .. args]);
        Assert.Equal(new CliResult(0, "", ""), result);
        string request = Assert.Single(vmm.Requests);
        Assert.StartsWith($"PUT /api/v1/{endpoint} HTTP/1.1\r\n", request, StringComparison.Ordinal);
        Assert.Contains($"\r\nContent-Length: {body.Length}\r\n", request, StringComparison.Ordinal);
        Assert.Equal(body, request[(request.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..]);
    }

    [Fact]
    public void A_disk_is_written_as_in_the_flag_and_the_answer_is_printed()
    {
        using var vmm = new FakeVmm(Socket, FakeVmm.Answer(200, """{"id":"_disk5","bdf":"0000:00:06.0"}"""));
        CliResult result = _cli.Run($"--api-socket={Socket}", "add-disk", "path=/d,readonly=on,id=data");
        Assert.Equal(new CliResult(0, "{\"id\":\"_disk5\",\"bdf\":\"0000:00:06.0\"}\n", ""), result);
        JsonElement body = Body(vmm);
        Assert.Equal("/d", body.GetProperty("path").GetString());
        Assert.True(body.GetProperty("readonly").GetBoolean());
        Assert.Equal("data", body.GetProperty("id").GetString());
    }

    [Theory]
    [InlineData("add-net fd=[3,4],num_queues=4,mac=2e:89:a8:e4:bf:0d", 2)]
    [InlineData("add-device fd=4", 1)]
    [InlineData("restore source_url=file:///a,net_fds=[n@[3,4]],vfio_fds=[v@3],iommufd_fd=4", 4)]
    [InlineData("receive-migration receiver_url=unix:/a,vfio_fds=[v@4]", 1)]
    public void Descriptors_travel_beside_the_request_and_not_in_it(string command, int count)
    {
        using var vmm = new FakeVmm(Socket, FakeVmm.Answer(204));
        File.WriteAllText(Path.Combine(_cli.Folder, "three"), "");
        File.WriteAllText(Path.Combine(_cli.Folder, "four"), "");
        CliResult result = _cli.Shell($"exec 3<three 4<four; \"$CNVM\" --api-socket fake.sock {command}");
        Assert.Equal(new CliResult(0, "", ""), result);
        string[] expected = count switch { 1 => ["four"], 2 => ["three", "four"], _ => ["three", "four", "three", "four"] };
        Assert.Equal(expected, vmm.Files.Select(Path.GetFileName));
        Assert.DoesNotContain("fd\"", vmm.Requests[0], StringComparison.Ordinal);
        if (command.StartsWith("restore", StringComparison.Ordinal))
        {
            Assert.Equal("""[{"id":"n","num_fds":2}]""", Body(vmm).GetProperty("net_fds").GetRawText());
            Assert.Equal("""[{"id":"v"}]""", Body(vmm).GetProperty("vfio_fds").GetRawText());
        }
    }

    [Fact]
    public void A_refusal_is_told_from_the_outside_in()
    {
        using var vmm = new FakeVmm(Socket, FakeVmm.Answer(404, """["Error from API","The VM could not boot","VM is not created"]"""));
        CliResult result = _cli.Run("--api-socket", Socket, "boot");
        Assert.Equal(1, result.ExitCode);
        Assert.Equal("cnvm: boot: the VMM refused vm.boot (404)\n  because: The VM could not boot\n  because: VM is not created\n", result.Error);
        result = _cli.Run("--api-socket", Socket, "boot", "--json");
        JsonElement error = JsonDocument.Parse(result.Error).RootElement;
        Assert.Equal((1, 404), (result.ExitCode, error.GetProperty("status").GetInt32()));
        Assert.Equal(["The VM could not boot", "VM is not created"], error.GetProperty("chain").EnumerateArray().Select(e => e.GetString()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("SSH-2.0-x\r\n\r\n")]
    [InlineData("HTTP/1.1 200 \r\nContent-Length: 99999999999\r\n\r\n")]
    [InlineData("HTTP/1.1 200 \r\nContent-Length: 999999999\r\n\r\n")]
    [InlineData("HTTP/1.1 500 \r\nContent-Length: 3\r\n\r\n[1,")]
    public void A_broken_answer_is_an_error_with_a_message(string answer)
    {
        using var vmm = new FakeVmm(Socket, answer);
        CliResult result = _cli.Run("--api-socket", Socket, "info");
        Assert.Equal((1, ""), (result.ExitCode, result.Output));
        Assert.StartsWith("cnvm: info: ", result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_configuration_comes_from_a_file_standard_input_or_flags()
    {
        const string Config = """{"payload":{"kernel":"/k"}}""";
        File.WriteAllText(Path.Combine(_cli.Folder, "c.json"), Config);
        using var vmm = new FakeVmm(Socket, FakeVmm.Answer(204));
        Assert.Equal(0, _cli.Run("--api-socket", Socket, "create", "c.json").ExitCode);
        Assert.Equal(0, _cli.RunWithInput(Config, "--api-socket", Socket, "create", "-").ExitCode);
        Assert.Equal(0, _cli.RunWithInput(Config, "--api-socket", Socket, "create").ExitCode);
        Assert.Equal(3, vmm.Requests.Count);
        Assert.All(vmm.Requests, r => Assert.EndsWith("\r\n\r\n" + Config, r, StringComparison.Ordinal));
        Assert.Equal(0, _cli.Run("--api-socket", Socket, "create", "--kernel", "k", "--disk", "path=/a", "path=/b", "--cpus=2").ExitCode);
        string flags = vmm.Requests[3];
        JsonElement body = JsonDocument.Parse(flags[(flags.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..]).RootElement;
        Assert.Equal(["/a", "/b"], body.GetProperty("disks").EnumerateArray().Select(d => d.GetProperty("path").GetString()));
        Assert.Equal(Path.Combine(_cli.Folder, "k"), body.GetProperty("payload").GetProperty("kernel").GetString());
        Assert.Equal(2, body.GetProperty("cpus").GetProperty("boot_vcpus").GetInt32());
    }

    [Theory]
    [InlineData("resize")]
    [InlineData("resize --cpus x")]
    [InlineData("resize --memory 1X")]
    [InlineData("resize-disk --disk a")]
    [InlineData("add-disk")]
    [InlineData("add-disk paht=/a")]
    [InlineData("add-fs tag=t")]
    [InlineData("add-vsock socket=/s")]
    [InlineData("add-device id=x")]
    [InlineData("restore prefault=on")]
    [InlineData("restore source_url=file:///a,disk_overrides=[d]")]
    [InlineData("restore source_url=file:///a,disk_overrides=[d@]")]
    [InlineData("snapshot incremental=on")]
    [InlineData("restore source_url=file:///a,net_fds=[n]")]
    [InlineData("send-migration destination_url=tcp:h:1,memory_mode=never")]
    [InlineData("snapshot")]
    [InlineData("snapshot a b")]
    [InlineData("boot --fast")]
    [InlineData("bott")]
    [InlineData("create --kernel k --api-socket=x")]
    [InlineData("create --kernel k --log-file x")]
    [InlineData("create --kernel k --net fd=3")]
    [InlineData("wait --state asleep")]
    [InlineData("wait --timeout soon")]
    [InlineData("receive-migration receiver_url=unix:/a,overwrite=on")]
    [InlineData("receive-migration receiver_url=unix:/a,disks=[_disk0]")]
    [InlineData("receive-migration receiver_url=unix:/a,disks=[@/x]")]
    [InlineData("teleport")]
    [InlineData("teleport me@there")]
    [InlineData("teleport me@there --name a/b")]
    [InlineData("teleport --name web -- -oProxyCommand=x")]
    [InlineData("teleport me@there --name web --direct unix:/s --tls /t")]
    [InlineData("teleport me@there --name web --direct tcp:there --tls /t")]
    [InlineData("teleport me@there --name web --direct tcp:there:7000")]
    [InlineData("teleport me@there --name web --tls /t")]
    [InlineData("teleport me@there --name web --netns pod --direct tcp:there:7000 --tls /t")]
    [InlineData("migrate")]
    [InlineData("migrate unix:/s --downtime soon")]
    [InlineData("migrate unix:/s --bandwidth much")]
    [InlineData("migrate unix:/s --compression zip")]
    [InlineData("migrate tcp:h:1 --connections many")]
    [InlineData("migrate unix:/s --postcopy later")]
    [InlineData("migrate unix:/s --postcopy fallback --finish")]
    [InlineData("console --escape xx")]
    public void What_is_wrong_is_said_before_anything_is_sent(string command)
    {
        using var vmm = new FakeVmm(Socket, FakeVmm.Answer(204));
        CliResult result = _cli.Run(["--api-socket", Socket, .. command.Split(' ')]);
        Assert.Equal(2, result.ExitCode);
        Assert.StartsWith("cnvm: ", result.Error, StringComparison.Ordinal);
        Assert.Empty(vmm.Requests);
    }

    [Fact]
    public void A_pods_vm_moves_into_a_network_namespace_only()
    {
        using var vmm = new FakeVmm(
            Socket, FakeVmm.Answer(200, """{"config":{"payload":{"kernel":"/k"},"net":[{"tap":"cnvmpod0"},{"tap":"cnvmpod1","mtu":1400,"mac":"02:00:00:00:00:07"}],"vsock":{"cid":3,"socket":"/run/pod/vsock.sock"},"fs":[{"tag":"kataShared","path":"/run/pod/shared"}]},"state":"Running","memory_actual_size":1}"""));
        string[] teleport = ["--api-socket", Socket, "teleport", "me@there", "--name", "web", "--dry-run"];
        CliResult refused = _cli.Run(teleport);
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("has network interfaces (cnvmpod0, cnvmpod1) in a network namespace of its own: say with --netns which one of me@there", refused.Error, StringComparison.Ordinal);

        // What is called as ssh writes down what is to be run there.
        string ssh = Path.Combine(_cli.Folder, "ssh");
        File.WriteAllText(ssh, $"#!/bin/sh\nfor word; do :; done\necho \"$word\" >{_cli.Folder}/said\n");
        File.SetUnixFileMode(ssh, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Assert.Equal(1, _cli.Run([.. teleport, "--netns", "pod", "--ssh", ssh]).ExitCode);
        Assert.EndsWith("'netns:pod' 'pod:0,@cnvmpod0' 'pod:1400,02:00:00:00:00:07@cnvmpod1' 'folder:/run/pod'\n", File.ReadAllText(Path.Combine(_cli.Folder, "said")), StringComparison.Ordinal);
        Assert.All(vmm.Requests, r => Assert.StartsWith("GET ", r, StringComparison.Ordinal));
    }

    [Fact]
    public void A_sandbox_does_not_arrive_where_another_vmm_lives()
    {
        string folder = Directory.CreateDirectory(Path.Combine(_cli.Folder, "pod")).FullName;
        using UnixListener vmm = UnixListener.Bind(Path.Combine(folder, "api.sock"), 1);
        CliResult refused = _cli.Run("__arrive", "web", $"folder:{folder}");
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("/pod is in use here: ", refused.Error, StringComparison.Ordinal);
        Assert.Null(vmm.Accept());

        // Nor where nobody has made what it needs.
        Assert.Contains("there is no folder /no/such/folder", _cli.Run("__arrive", "web", "folder:/no/such/folder").Error, StringComparison.Ordinal);
        Assert.Contains("there is no network namespace /run/netns/no-such", _cli.Run("__arrive", "web", "netns:no-such").Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_cli.RuntimeFolder));
    }

    [Theory]
    [InlineData("Completed", 0)]
    [InlineData("Failed", 1)]
    public void A_migration_is_waited_for_and_summed_up(string phase, int exitCode)
    {
        string end = $$"""
            {"side":"Source","phase":"{{phase}}","guest":"There","url":"tcp:h:1","peer":"cnvm 9","compression":"lz4","rounds":3,"memory_bytes":1073741824,
            "data_pages":1024,"zero_pages":261120,"transferred_bytes":2097152,"remaining_bytes":0,"bandwidth_bytes_per_s":0,"dirty_bytes_per_s":0,
            "downtime_ms":12,"throttle_percent":0,"elapsed_ms":3400,"disk_bytes":3145728,"disk_data_bytes":1048576,"disk_zero_bytes":2097152{{(exitCode == 0 ? "" : ",\"error\":\"no room there\"")}}}
            """.ReplaceLineEndings("");
        using var vmm = new FakeVmm(Socket, FakeVmm.Answer(200, end));
        CliResult result = _cli.Run(
            "--api-socket", Socket, "migrate", "tcp:h:1", "--downtime", "50ms", "--timeout=2m", "--finish", "--bandwidth", "100M", "--compression=lz4",
            "--tls", "/t", "--tls-name", "n", "--connections", "4", "--delta-cache", "64M");
        Assert.EndsWith(
            """{"destination_url":"tcp:h:1","downtime_ms":50,"timeout_s":120,"timeout_strategy":"Ignore","max_bytes_per_s":104857600,"delta_cache":67108864,"compression":"Lz4","tls_dir":"/t","tls_peer_name":"n","wait":true,"connections":4}""",
            Assert.Single(vmm.Requests),
            StringComparison.Ordinal);
        Assert.Equal(exitCode, result.ExitCode);
        if (exitCode == 0)
        {
            Assert.Contains("has moved to tcp:h:1 (cnvm 9)", result.Output, StringComparison.Ordinal);
            Assert.Contains("3.4 s in 3 rounds, of which the guest stood still 12 ms", result.Output, StringComparison.Ordinal);
            Assert.Contains("1 GiB; 4 MiB sent, 1020 MiB of zeros left out", result.Output, StringComparison.Ordinal);
            Assert.Contains("3 MiB; 1 MiB sent, 2 MiB of holes left out", result.Output, StringComparison.Ordinal);
        }
        else
        {
            Assert.Contains("has not moved: no room there", result.Error, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("--postcopy now", """{"destination_url":"tcp:h:1","memory_mode":"Postcopy","wait":true}""")]
    [InlineData("--postcopy fallback", """{"destination_url":"tcp:h:1","timeout_strategy":"Postcopy","wait":true}""")]
    [InlineData("--resume", """{"destination_url":"tcp:h:1","resume":true,"wait":true}""")]
    public void Postcopy_is_asked_for(string options, string body)
    {
        using var vmm = new FakeVmm(Socket, FakeVmm.Answer(500));
        _cli.Run(["--api-socket", Socket, "migrate", "tcp:h:1", .. options.Split(' ')]);
        Assert.EndsWith(body, Assert.Single(vmm.Requests), StringComparison.Ordinal);
    }

    private static JsonElement Body(FakeVmm vmm)
    {
        string request = Assert.Single(vmm.Requests);
        return JsonDocument.Parse(request[(request.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..]).RootElement;
    }
}
