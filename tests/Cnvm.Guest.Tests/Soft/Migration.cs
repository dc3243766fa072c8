using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Cnvm.Nested;
using Cnvm.Tests;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed partial class Migration(SoftHostFixture fixture, ITestOutputHelper output) : MigrationTests(fixture, output)
{
    private const int Moves = 200;

    protected override bool IsQuick => true;

    protected override bool HasSteadyClocks => true;

    protected override string FreeUrl()
    {
        using var finder = new TcpListener(IPAddress.Loopback, 0);
        finder.Start();
        return $"tcp:127.0.0.1:{((IPEndPoint)finder.LocalEndpoint).Port}";
    }

    /// <summary>A guest that checks its memory goes from process to process, and loses nothing on the way.</summary>
    [SkippableFact]
    public async Task A_guest_moves_hundreds_of_times()
    {
        Skip.IfNot(Soak.IsOn, "part of the long form: CNVM_SOAK=1");
        await using var scratch = new ScratchDirectory(Host);
        GuestVm guest = await GuestVm.BootAsync(
            Host, new GuestSetup { Cpus = 2, Disks = [await GuestPrograms.AddDiskAsync(scratch, Host)], Pulses = false });
        try
        {
            await GuestPrograms.UnpackAsync(guest, "vda");
            await GuestLoad.StartAsync(guest);
            string complaints = await guest.AskAsync(Complaints);
            MigrationLoad load = MigrationLoad.Memory(2);
            await load.StartAsync(guest);
            var downtimes = new List<ulong>();
            while (downtimes.Count < Moves)
            {
                guest = await GoAsync(guest, g => MoveOnAsync(g, Host));
                downtimes.Add(LastMove.GetProperty("downtime_ms").GetUInt64());
            }

            await load.EndAsync(guest);
            await GuestLoad.AssertGoesOnAsync(guest, 2);
            await AssertNoComplaintAsync(guest, complaints);
            await guest.PowerOffAsync();
            downtimes.Sort();
            Report($"{downtimes.Count} moves, soft to soft, memory, 2 vCPUs: stood still {downtimes[Moves / 2]} ms in the middle, {downtimes[^1]} ms at most");
        }
        finally
        {
            await guest.DisposeAsync();
        }
    }

    /// <summary>Through mutual TLS over TCP; whoever is not trusted is refused before the guest stops, and the target waits on.</summary>
    [SkippableFact]
    public async Task A_guest_moves_through_TLS_and_to_nobody_else()
    {
        await using var scratch = new ScratchDirectory(Host);
        using var authority = new TestAuthority("cnvm test authority");
        using var other = new TestAuthority("another authority");
        string good = authority.Fill($"{scratch.Path}/good");
        string stranger = other.Fill($"{scratch.Path}/stranger", believed: authority);
        using var finder = new TcpListener(IPAddress.Loopback, 0);
        finder.Start();
        string url = $"tcp:127.0.0.1:{((IPEndPoint)finder.LocalEndpoint).Port}";
        finder.Stop();
        await using GuestVm guest = await GuestVm.BootAsync(Host, new GuestSetup { Cpus = 2 });
        await GuestLoad.StartAsync(guest);
        await using GuestVm target = await GuestVm.StartAsync(Host);
        Task<string> receiving = target.PutAsync("vm.receive-migration", $$"""{"receiver_url":"{{url}}","tls_dir":"{{good}}","tls_peer_name":"cnvm.test"}""");
        await target.WaitForEventAsync("vm", "migration-receive-ready");

        // Nobody else could map this guest's memory.
        Assert.Contains(
            "shared=on", await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"unix:{{scratch.Path}}/local","local":true}""", status: 500), StringComparison.Ordinal);
        await RefuseAsync(stranger, "", "unknown ca");
        await RefuseAsync(good, ",\"tls_peer_name\":\"elsewhere.test\"", "hostname mismatch");
        await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}"}""");
        Assert.Equal("Here", (await EndAsync(guest)).GetProperty("guest").GetString());
        await GuestLoad.AssertGoesOnAsync(guest, 2);

        JsonElement end = JsonDocument.Parse(
            await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}","tls_dir":"{{good}}","wait":true}""")).RootElement;
        Output.WriteLine(end.ToString());
        Assert.Equal("Completed", end.GetProperty("phase").GetString());
        await receiving;
        await guest.AssertEndAsync(othersRun: true);
        await GuestLoad.AssertGoesOnAsync(target, 2);
        await target.PowerOffAsync();

        async Task RefuseAsync(string folder, string keys, string why)
        {
            await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}","tls_dir":"{{folder}}"{{keys}}}""");
            JsonElement refused = await EndAsync(guest);
            Assert.Contains(why, refused.GetProperty("error").GetString(), StringComparison.OrdinalIgnoreCase);
            Assert.Equal("Here", refused.GetProperty("guest").GetString());
            Assert.Equal("Running", await guest.StateAsync());
        }
    }

    /// <summary>Two hosts' networks, joined by a cable, and a third party whose connection to the guest lives on.</summary>
    [SkippableFact]
    public async Task Connections_live_on_when_the_guest_moves_to_another_part_of_the_network()
    {
        await using JoinedNetworks networks = await JoinedNetworks.CreateAsync(Host);
        (NetworkNamespace here, NetworkNamespace there, NetworkNamespace third) = (networks.Here, networks.There, networks.Third);
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("data", "0");
        await using GuestVm guest = await GuestVm.BootAsync(Host, new GuestSetup { Net = JoinedNetworks.Net, NetworkNamespace = here.Name });
        await guest.AskAsync("ip address add 192.168.249.2/24 dev eth0 && ip link set eth0 up");
        await guest.AskAsync("(nc -l -p 5002 | sha256sum >/tmp/sum) >/dev/null 2>&1 &");
        Task<CommandResult> sending = third.RunAsync(
            $"(for i in $(seq 60); do head -c 40000 /dev/urandom; sleep 0.1; done) | tee {scratch.Path}/data"
            + " | socat -u - TCP:192.168.249.2:5002,retry=100,interval=0.3");
        (await Host.RunAsync($"for i in $(seq 600); do [ $(stat -c %s {scratch.Path}/data) -gt 200000 ] && exit 0; sleep 0.1; done; exit 1")).OrThrow();

        await using GuestVm moved = await MoveAsync(guest, $"unix:{scratch.Path}/there", there.Name);

        await sending;
        string sent = (await Host.RunAsync($"sha256sum <{scratch.Path}/data")).OrThrow().Output;
        Assert.Equal(sent.Trim(), await moved.AskAsync("i=0; while [ ! -s /tmp/sum ] && [ $i -lt 1000 ]; do usleep 200000; i=$((i + 1)); done; cat /tmp/sum"));

        // The far switch knows the guest at its own port, and the near one behind the cable.
        Assert.Contains("dev tap0", (await there.RunAsync("bridge fdb show | grep 52:54:00:12:34:58")).Output, StringComparison.Ordinal);
        Assert.Contains("dev cable", (await here.RunAsync("bridge fdb show | grep 52:54:00:12:34:58")).Output, StringComparison.Ordinal);
        Assert.Contains(" 0% packet loss", (await third.RunAsync("ping -c 2 -i 0.2 -W 60 192.168.249.2")).Output, StringComparison.Ordinal);
        await moved.PowerOffAsync();
    }
}
