using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Migration(SoftHostFixture fixture, ITestOutputHelper output) : MigrationTests(fixture, output)
{
    private const int Moves = 200;

    protected override bool IsQuick => true;

    protected override bool HasSteadyClocks => true;

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

    /// <summary>Two hosts' networks, joined by a cable, and a third party whose connection to the guest lives on.</summary>
    [SkippableFact]
    public async Task Connections_live_on_when_the_guest_moves_to_another_part_of_the_network()
    {
        await using NetworkNamespace here = await NetworkNamespace.CreateAsync(Host);
        await using NetworkNamespace there = await NetworkNamespace.CreateAsync(Host);
        await using NetworkNamespace third = await NetworkNamespace.CreateAsync(Host);
        const string Switch =
            "ip link add br0 type bridge && ip link set br0 up && ip tuntap add dev tap0 mode tap && ip link set tap0 master br0 && ip link set tap0 up";
        await here.RunAsync(Switch);
        await there.RunAsync(Switch);
        await here.RunAsync(
            $"ip link add cable type veth peer name cable netns {there.Name} && ip link add toward type veth peer name eth0 netns {third.Name}"
            + " && ip link set cable master br0 && ip link set toward master br0 && ip link set cable up && ip link set toward up");
        await there.RunAsync("ip link set cable master br0 && ip link set cable up");
        await third.RunAsync("ip address add 192.168.249.1/24 dev eth0 && ip link set eth0 up");
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("data", "0");
        await using GuestVm guest = await GuestVm.BootAsync(Host, new GuestSetup { Net = "tap=tap0,mac=52:54:00:12:34:58", NetworkNamespace = here.Name });
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
