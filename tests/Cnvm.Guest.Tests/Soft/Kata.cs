using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Cnvm.Api.Tests.Clients;
using Cnvm.Guest.Tests.Kata;
using Cnvm.Linux;
using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>What Kata's two drivers say to cnvm-vmm, in their order, form and limits of time, with a Linux that uses what it is given.</summary>
/// <remarks>Descriptors come along with requests, so the tests must be on the VMM's own machine.</remarks>
[Collection(SoftGuests.Name)]
public sealed partial class Kata(SoftHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    private static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan HotplugLimit = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(3);
    private static readonly string Backend = Path.Combine(Path.GetDirectoryName(GuestHostFixture.Vmm)!, "cnvm-vhost-user-fs");

    [GuestFact]
    public async Task The_go_driver_starts_extends_and_stops_a_sandbox()
    {
        await using var scratch = new ScratchDirectory(Host);
        await using HostProcess folder = await ServeFolderAsync(scratch);
        await GuestPrograms.AddDiskAsync(scratch, Host);
        string vsockcheck = await GuestPrograms.AddToHostAsync(scratch, Host, "vsockcheck");
        await using NetworkNamespace pod = await NetworkNamespace.CreateAsync(Host);
        using TapQueue first = KataTap.Open(pod, "192.168.249.1/24"), second = KataTap.Open(pod, "192.168.250.1/24"), third = KataTap.Open(pod, "192.168.251.1/24");
        await using GuestVm guest = await GuestVm.StartAsync(Host, pod.Name);
        using var pooled = new PlainClient(guest.Socket);
        Assert.Equal(200, Call(CallLimit, "vmm.ping", () => pooled.Go("GET", "vmm.ping")).Status);

        var start = Stopwatch.StartNew();
        Create((method, command, body) => pooled.Go(method, command, body), KataBodies.Go(guest.Directory, scratch.Path + "/image", scratch.Path + "/fs.sock"));
        Assert.Equal("Created", Info(pooled).GetProperty("state").GetString());

        // All interfaces go over one connection of their own, each request with its descriptor in one message.
        using (var raw = new PlainClient(guest.Socket))
        {
            Done(Call(CallLimit, "vm.add-net", () => raw.Go("PUT", "vm.add-net", KataBodies.Net("02:00:ca:fe:00:01"), first.Fd)));
            Done(Call(CallLimit, "vm.add-net", () => raw.Go("PUT", "vm.add-net", KataBodies.Net("02:00:ca:fe:00:02"), second.Fd)));
        }

        Done(pooled.Go("PUT", "vm.boot"));
        Assert.InRange(start.Elapsed, TimeSpan.Zero, StartLimit);
        Assert.Equal("Running", Info(pooled).GetProperty("state").GetString());

        // For Kata's control group of vCPUs: threads by name.
        string threads = (await Host.RunAsync($"cat /proc/{guest.ProcessId}/task/*/comm")).OrThrow().Output;
        Assert.Equal(["vcpu0"], threads.Split('\n').Where(t => VcpuThread().IsMatch(t)));
        await guest.WaitForShellAsync();
        Assert.Contains("0001:00:", await guest.AskAsync("ls /sys/bus/pci/devices"), StringComparison.Ordinal);
        Assert.Equal("from-host", await guest.AskAsync("mkdir /shared && mount -t virtiofs kataShared /shared && cat /shared/file"));
        await GrowAsync(guest, pooled, scratch.Path + "/share");
        await PingAsync(guest, "02:00:ca:fe:00:01", "192.168.249");
        await PingAsync(guest, "02:00:ca:fe:00:02", "192.168.250");

        // A container's disk: its place is what the agent is told.
        (string id, string device) = await PlugDiskAsync(guest, () => pooled.Go("PUT", "vm.add-disk", KataBodies.GoDisk(scratch.Path + "/programs")));
        await GuestPrograms.UnpackAsync(guest, device);
        await guest.AskAsync("/run/vsockcheck serve vsock:0:1024 >/tmp/served 2>&1 & while ! grep -q serving /tmp/served; do usleep 50000; done");
        string dialled = (await Host.RunAsync($"{vsockcheck} client hybrid:{guest.Directory}/clh.sock:1024 4 10000", GuestVm.Patience)).Output;
        Assert.Contains(" errors=0 ", dialled, StringComparison.Ordinal);
        Done(Call(HotplugLimit, "vm.remove-device", () => pooled.Go("PUT", "vm.remove-device", $$"""{"id":"{{id}}"}""")));
        await guest.AskAsync($"while [ -e /sys/block/{device} ]; do usleep 50000; done");

        // A network that joins later comes with all earlier ones, sent once more.
        using (var raw = new PlainClient(guest.Socket))
        {
            foreach ((TapQueue tap, string mac) in (ReadOnlySpan<(TapQueue, string)>)[(first, "02:00:ca:fe:00:01"), (second, "02:00:ca:fe:00:02"), (third, "02:00:ca:fe:00:03")])
            {
                (int status, string body) = Call(HotplugLimit, "vm.add-net", () => raw.Go("PUT", "vm.add-net", KataBodies.Net(mac), tap.Fd));
                Assert.True(status == 200, $"{status} {body}");
                Assert.Matches(Place(), body);
            }
        }

        await PingAsync(guest, "02:00:ca:fe:00:03", "192.168.251");
        JsonElement info = Info(pooled);
        JsonElement memory = info.GetProperty("config").GetProperty("memory");
        Assert.Equal(memory.GetProperty("size").GetInt64(), info.GetProperty("memory_actual_size").GetInt64());

        // A container that may use two processors: Kata reads how many there are, asks for more, and its agent switches them on.
        Assert.Equal(1, info.GetProperty("config").GetProperty("cpus").GetProperty("boot_vcpus").GetInt32());
        Assert.Equal(2, info.GetProperty("config").GetProperty("cpus").GetProperty("max_vcpus").GetInt32());
        Done(Call(CallLimit, "vm.resize", () => pooled.Go("PUT", "vm.resize", """{"desired_vcpus":2}""")));
        Assert.Equal(2, Info(pooled).GetProperty("config").GetProperty("cpus").GetProperty("boot_vcpus").GetInt32());
        await guest.AskAsync("cd /sys/devices/system/cpu; while [ ! -e cpu1/online ]; do usleep 50000; done; echo 1 >cpu1/online; grep -x 0-1 online");
        Done(Call(CallLimit, "vm.resize", () => pooled.Go("PUT", "vm.resize", """{"desired_vcpus":1}""")));
        await guest.AskAsync("while [ -e /sys/devices/system/cpu/cpu1/online ]; do usleep 50000; done");
        Done(Call(CallLimit, "vm.pause", () => pooled.Go("PUT", "vm.pause")));
        Done(Call(CallLimit, "vm.resume", () => pooled.Go("PUT", "vm.resume")));
        await StopAsync(guest, () => pooled.Go("GET", "vmm.ping"), () => pooled.Go("PUT", "vmm.shutdown"));
    }

    [GuestFact]
    public async Task Runtime_rs_does_so_over_one_connection()
    {
        await using var scratch = new ScratchDirectory(Host);
        await using HostProcess folder = await ServeFolderAsync(scratch);
        await GuestPrograms.AddDiskAsync(scratch, Host);
        await using NetworkNamespace pod = await NetworkNamespace.CreateAsync(Host);
        using TapQueue tap = KataTap.Open(pod, "192.168.249.1/24");
        await using GuestVm guest = await GuestVm.StartAsync(Host, pod.Name);
        using var client = new PlainClient(guest.Socket);
        JsonElement ping = JsonDocument.Parse(Call(CallLimit, "vmm.ping", () => client.ChRemote("GET", "vmm.ping")).Body).RootElement;
        Assert.DoesNotContain("tdx", ping.GetProperty("features").EnumerateArray().Select(f => f.GetString()));

        var start = Stopwatch.StartNew();
        Create((method, command, body) => client.ChRemote(method, command, body), KataBodies.Rust(guest.Directory, scratch.Path + "/image", scratch.Path + "/fs.sock"));
        Done(Call(CallLimit, "vm.add-net", () => client.ChRemote("PUT", "vm.add-net", KataBodies.Net("02:00:ca:fe:00:01"), tap.Fd)));
        Done(client.ChRemote("PUT", "vm.boot"));
        Assert.InRange(start.Elapsed, TimeSpan.Zero, StartLimit);
        await guest.WaitForShellAsync();
        Assert.Equal("from-host", await guest.AskAsync("mkdir /shared && mount -t virtiofs kataShared /shared && cat /shared/file"));
        await PingAsync(guest, "02:00:ca:fe:00:01", "192.168.249");

        (string id, string device) = await PlugDiskAsync(guest, () => client.ChRemote("PUT", "vm.add-disk", KataBodies.RustDisk(scratch.Path + "/programs")));
        await GuestPrograms.UnpackAsync(guest, device);
        Done(Call(HotplugLimit, "vm.remove-device", () => client.ChRemote("PUT", "vm.remove-device", $$"""{"id":"{{id}}"}""")));
        await guest.AskAsync($"while [ -e /sys/block/{device} ]; do usleep 50000; done");
        Done(Call(CallLimit, "vm.pause", () => client.ChRemote("PUT", "vm.pause")));
        Done(Call(CallLimit, "vm.resume", () => client.ChRemote("PUT", "vm.resume")));
        await StopAsync(guest, () => client.ChRemote("GET", "vmm.ping"), () => client.ChRemote("PUT", "vmm.shutdown"));
    }

    [GuestFact]
    public async Task Sandboxes_are_made_of_a_template_whose_memory_is_a_file()
    {
        await using var scratch = new ScratchDirectory(Host);
        string template = scratch.Path + "/template";
        await scratch.MakeFileAsync("memory", "0");
        (await Host.RunAsync($"mkdir {template} {scratch.Path}/snapshot")).OrThrow();
        await using (GuestVm guest = await GuestVm.StartAsync(Host))
        {
            using var pooled = new PlainClient(guest.Socket);
            Done(Call(CallLimit, "vm.create", () => pooled.Go("PUT", "vm.create", KataBodies.Template(guest.Directory, scratch.Path + "/memory").ToJsonString())));
            Done(pooled.Go("PUT", "vm.boot"));
            await guest.WaitForShellAsync();
            await guest.AskAsync("echo from-template >/root/file; sync");
            Done(Call(CallLimit, "vm.pause", () => pooled.Go("PUT", "vm.pause")));
            Done(pooled.Go("PUT", "vm.snapshot", $$"""{"destination_url":"file://{{scratch.Path}}/snapshot"}"""));
            await StopAsync(guest, () => pooled.Go("GET", "vmm.ping"), () => pooled.Go("PUT", "vmm.shutdown"));
        }

        // Of the snapshot Kata keeps the two JSON files, and lets the clones map the memory's file privately.
        (await Host.RunAsync($"cp {scratch.Path}/snapshot/state.json {scratch.Path}/snapshot/config.json {template}/")).OrThrow();
        await using GuestVm one = await CloneAsync(template), other = await CloneAsync(template);
        Assert.Equal("from-template", await one.AskAsync("cat /root/file; echo one >/root/file"));
        Assert.Equal("from-template", await other.AskAsync("cat /root/file; echo other >/root/file"));
        Assert.Equal("one", await one.AskAsync("cat /root/file"));
        await one.PowerOffAsync();
        await other.PowerOffAsync();
    }

    private async Task<GuestVm> CloneAsync(string template)
    {
        GuestVm clone = await GuestVm.StartAsync(Host);
        JsonNode config = JsonNode.Parse((await Host.RunAsync($"cat {template}/config.json")).OrThrow().Output)!;
        config["memory"]!["zones"]![0]!["shared"] = false;
        config["vsock"]!["socket"] = $"{clone.Directory}/clh.sock";
        (await Host.Commands.RunAsync($"cat >{template}/config.json", input: config.ToJsonString())).OrThrow();
        using var client = new PlainClient(clone.Socket);
        Done(Call(StartLimit, "vm.restore", () => client.Go("PUT", "vm.restore", $$"""{"source_url":"file://{{template}}"}""")));
        Assert.Equal("Paused", Info(client).GetProperty("state").GetString());
        Done(Call(CallLimit, "vm.resume", () => client.Go("PUT", "vm.resume")));
        return clone;
    }

    /// <summary>Sends the body as it is.</summary>
    private void Create(Func<string, string, string, (int Status, string Body)> call, JsonObject body)
    {
        var options = new JsonSerializerOptions { WriteIndented = true };
        Done(Call(CallLimit, "vm.create", () => call("PUT", "vm.create", body.ToJsonString(options))));
    }

    private async Task<HostProcess> ServeFolderAsync(ScratchDirectory scratch)
    {
        Skip.If(!Host.IsRoot, "network namespaces and TAP interfaces need root");
        Skip.If(!File.Exists(Backend), $"{Backend} is missing: 'make build' makes it");
        await scratch.MakeFileAsync("image", "1M");
        (await Host.RunAsync($"mkdir {scratch.Path}/share && echo from-host >{scratch.Path}/share/file")).OrThrow();
        HostProcess folder = await Host.StartAsync($"exec {Shell.Quote(Backend)} --shared-dir {scratch.Path}/share --socket-path {scratch.Path}/fs.sock");
        (await Host.RunAsync($"while [ ! -S {scratch.Path}/fs.sock ]; do sleep 0.1; done", GuestVm.Patience)).OrThrow();
        return folder;
    }

    /// <summary>Memory comes in the guest's blocks, which the agent puts to use; the folder's back end learns of it, and serves requests that lie there.</summary>
    private async Task GrowAsync(GuestVm guest, PlainClient client, string share)
    {
        const long More = KataBodies.MemoryBytes + (128L << 20);
        string digest = (await Host.RunAsync($"head -c 24M /dev/urandom >{share}/large && md5sum <{share}/large")).OrThrow().Output.Trim();
        Done(Call(CallLimit, "vm.resize", () => client.Go("PUT", "vm.resize", $$"""{"desired_ram":{{More}}}""")));
        Assert.Equal(More, Info(client).GetProperty("config").GetProperty("memory").GetProperty("size").GetInt64());
        const string Offline = "grep -l offline /sys/devices/system/memory/memory*/state";
        await guest.AskAsync($"for i in $(seq 600); do {Offline} && break; usleep 100000; done; for m in $({Offline}); do echo online >$m || exit 1; done");
        Assert.Equal(digest, await guest.AskAsync("md5sum </shared/large"));
    }

    /// <summary>Adds a disk, and finds it in the guest at the place that the answer gives.</summary>
    private async Task<(string Id, string Device)> PlugDiskAsync(GuestVm guest, Func<(int Status, string Body)> add)
    {
        (int status, string body) = Call(HotplugLimit, "vm.add-disk", add);
        Assert.True(status == 200, $"{status} {body}");
        Assert.Matches(Place(), body);
        JsonElement place = JsonDocument.Parse(body).RootElement;
        string blocks = $"/sys/bus/pci/devices/{place.GetProperty("bdf").GetString()}/virtio*/block";
        return (place.GetProperty("id").GetString()!, await guest.AskAsync($"while ! ls {blocks} >/dev/null 2>&1; do usleep 50000; done; ls {blocks}"));
    }

    /// <summary>The guest finds the interface by its address and reaches the other end of it.</summary>
    private static Task<string> PingAsync(GuestVm guest, string mac, string net) => guest.AskAsync(
        $"while ! grep -l {mac} /sys/class/net/*/address >/dev/null; do usleep 50000; done; card=$(basename $(dirname $(grep -l {mac} /sys/class/net/*/address | head -n 1))); ip address add {net}.2/24 dev $card && ip link set $card up && ping -c 1 -W 60 {net}.1");

    private async Task StopAsync(GuestVm guest, Func<(int Status, string Body)> ping, Func<(int Status, string Body)> shutdown)
    {
        Assert.Equal(200, Call(CallLimit, "vmm.ping", ping).Status);
        var end = Stopwatch.StartNew();
        Assert.Equal((200, ""), shutdown());
        (await Host.RunAsync($"while [ -e /proc/{guest.ProcessId} ]; do sleep 0.05; done")).OrThrow();
        output.WriteLine($"end: {end.ElapsedMilliseconds} ms");
        Assert.InRange(end.Elapsed, TimeSpan.Zero, EndLimit);
        await guest.AssertEndAsync();
    }

    private static void Done((int Status, string Body) answer) => Assert.True(answer is (204, ""), $"{answer.Status} {answer.Body}");

    /// <summary>vm.info, within the driver's limit.</summary>
    private JsonElement Info(PlainClient client) => JsonDocument.Parse(Call(CallLimit, "vm.info", () => client.Go("GET", "vm.info")).Body).RootElement;

    private (int Status, string Body) Call(TimeSpan limit, string what, Func<(int Status, string Body)> call)
    {
        long begin = Stopwatch.GetTimestamp();
        (int Status, string Body) answer = call();
        TimeSpan took = Stopwatch.GetElapsedTime(begin);
        output.WriteLine($"{what}: {took.TotalMilliseconds:F1} ms");
        Assert.True(took < limit, $"{what} took {took.TotalMilliseconds:F0} ms");
        return answer;
    }

    [GeneratedRegex(@"^vcpu\d+$")]
    private static partial Regex VcpuThread();

    [GeneratedRegex("""^\{"id":"_(disk|net)[0-9]+","bdf":"0000:00:[0-9a-f]{2}\.0"\}$""")]
    private static partial Regex Place();
}
