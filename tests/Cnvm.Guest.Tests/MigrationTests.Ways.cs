using System.Globalization;
using System.Text.Json;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

// Other ways for memory than through one connection.
public abstract partial class MigrationTests
{
    private const int Cpus = 2;

    /// <summary>Takes a lock on a whole file as a disk's user does (F_OFD_SETLK with struct flock), and waits.</summary>
    private const string Locker =
        "open F, \"+<\", $ARGV[0] or die $!; my $l = pack(\"s s x4 q q l x4\", 1, 0, 0, 0, 0); fcntl(F, 37, $l) or die $!; $| = 1; print \"CNVM-LOCKED\\n\"; sleep 600";

    /// <summary>
    /// A guest that verifies its memory all the while is handed to another process with its memory, and goes on through four connections to a
    /// third one. A target that fails when it has the memory already has not touched it.
    /// </summary>
    [GuestFact]
    public async Task A_busy_guest_is_handed_over_and_moves_on_through_several_connections()
    {
        SkipUnlessQuick();
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "8M");
        await scratch.MakeFileAsync("other", "8M");
        string[] disks = [$"path={scratch.Path}/disk,image_type=raw", await GuestPrograms.AddDiskAsync(scratch, Host)];
        await using GuestVm first = await GuestVm.BootAsync(
            Host, new GuestSetup { Cpus = Cpus, MemoryKeys = ",shared=on", Disks = disks, Pulses = false });
        await GuestPrograms.UnpackAsync(first, "vdb");
        await GuestLoad.StartAsync(first);
        string complaints = await first.AskAsync(Complaints);
        await first.AskAsync("dd if=/dev/urandom of=/dev/vda bs=1M count=8 && md5sum </dev/vda >/tmp/disk-sum");
        await first.TypeAsync($"(/run/selfcheck run 5 {Cpus} >/tmp/check 2>&1; echo CNVM-CHECK-''END >>/tmp/check) &");

        // The disk there is somebody else's, which shows when memory, vCPUs and most devices are there.
        await using (HostProcess locker = await Host.StartAsync($"exec perl -e {Shell.Quote(Locker)} {scratch.Path}/other"))
        await using (GuestVm refusing = await GuestVm.StartAsync(Host))
        {
            await locker.WaitForAsync("CNVM-LOCKED", GuestVm.Patience);
            string url = $"unix:{scratch.Path}/refusing";
            Task<string> receiving = await BeginReceivingAsync(refusing, url, status: 500, disks: $$"""[{"id":"_disk0","path":"{{scratch.Path}}/other"}]""");
            await first.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}","local":true}""");
            JsonElement end = await EndAsync(first);
            Output.WriteLine(end.ToString());
            Assert.Equal("Here", end.GetProperty("guest").GetString());
            Assert.Contains("in use by another disk or process", await receiving, StringComparison.Ordinal);
            await refusing.PutAsync("vmm.shutdown");
            await refusing.AssertEndAsync(othersRun: true);
        }

        await GuestLoad.AssertGoesOnAsync(first, Cpus);
        Mode = MoveMode.Local;
        await using GuestVm second = await MoveAsync(first, $"unix:{scratch.Path}/there");
        Assert.Equal(0, LastMove.GetProperty("data_pages").GetInt32());
        Assert.InRange(LastMove.GetProperty("transferred_bytes").GetInt32(), 1, 1 << 20);
        Report(string.Create(CultureInfo.InvariantCulture, $"{Host.Hypervisor} to {Host.Hypervisor}, local, memory, {Cpus} vCPUs: stood still {LastMove.GetProperty("downtime_ms")} ms of {LastMove.GetProperty("elapsed_ms")} ms"));
        await GuestLoad.AssertGoesOnAsync(second, Cpus);
        Assert.Equal("same", await second.AskAsync("[ \"$(md5sum </dev/vda)\" = \"$(cat /tmp/disk-sum)\" ] && echo same"));

        Mode = new MoveMode("4 connections", ",\"connections\":4");
        string address = FreeUrl();
        await using GuestVm third = await MoveAsync(second, Host, address, address, () => Task.CompletedTask);
        Assert.InRange(LastMove.GetProperty("data_pages").GetInt32(), 1000, int.MaxValue);
        Report(string.Create(CultureInfo.InvariantCulture, $"{Host.Hypervisor} to {Host.Hypervisor}, 4 connections, memory, {Cpus} vCPUs: stood still {LastMove.GetProperty("downtime_ms")} ms of {LastMove.GetProperty("elapsed_ms")} ms"));
        await GuestLoad.AssertGoesOnAsync(third, Cpus);
        string checks = await third.AskAsync("while ! grep -q CNVM-CHECK-END /tmp/check; do sleep 0.2; done; cat /tmp/check");
        Output.WriteLine(checks);
        Assert.Matches(@"selfcheck: checks=\d+ errors=0 rounds=[1-9]", checks);
        await AssertNoComplaintAsync(third, complaints);
        await third.PowerOffAsync();
    }

    /// <summary>The interface goes along with what waits in it, and a machine that begins anew opens it by its name.</summary>
    [GuestFact]
    public async Task An_interface_is_handed_over_with_the_memory()
    {
        Skip.IfNot(Soak.IsOn, "part of the long form: CNVM_SOAK=1");
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("nothing", "0");
        await using NetworkNamespace space = await NetworkNamespace.CreateAsync(Host);
        await using GuestVm guest = await GuestVm.BootAsync(
            Host, new GuestSetup { Net = "tap=cnvmtap,mac=52:54:00:12:34:58", MemoryKeys = ",shared=on", NetworkNamespace = space.Name, Pulses = false });
        await space.RunAsync("ip address add 192.168.249.1/24 dev cnvmtap && ip link set cnvmtap up");
        const string Join = "ip link set eth0 up && ip address add 192.168.249.2/24 dev eth0 && ping -c 2 -W 20 192.168.249.1";
        await guest.AskAsync(Join);
        Task<CommandResult> pinging = space.RunAsync("ping -c 50 -i 0.2 -W 60 192.168.249.2");
        Mode = MoveMode.Local;
        await using GuestVm moved = await MoveAsync(guest, $"unix:{scratch.Path}/there", space.Name);
        Assert.Contains(" 0% packet loss", (await pinging).Output, StringComparison.Ordinal);
        await moved.AskAsync("ping -c 2 -W 20 192.168.249.1");
        await moved.TypeAsync("reboot");
        await moved.WaitForShellAsync();
        await space.RunAsync("ip address replace 192.168.249.1/24 dev cnvmtap && ip link set cnvmtap up");
        await moved.AskAsync(Join);
        await moved.PowerOffAsync();
    }

    [GuestFact]
    public async Task A_paused_guest_is_handed_over_and_stays_paused()
    {
        SkipUnlessQuick();
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("nothing", "0");
        await using GuestVm guest = await GuestVm.BootAsync(Host, new GuestSetup { MemoryKeys = ",shared=on", Pulses = false });
        await guest.AskAsync("echo kept >/tmp/kept");
        await guest.PutAsync("vm.pause");
        await using GuestVm moved = await GuestVm.StartAsync(Host);
        string url = $"unix:{scratch.Path}/there";
        Task<string> receiving = await BeginReceivingAsync(moved, url);
        await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}","local":true}""");
        await receiving;
        await guest.AssertEndAsync(othersRun: true);
        Assert.Equal("Paused", await moved.StateAsync());
        await moved.PutAsync("vm.resume");
        Assert.Equal("kept", await moved.AskAsync("cat /tmp/kept"));
        await moved.PowerOffAsync();
    }

    /// <summary>A port of the host's loopback that is free.</summary>
    protected abstract string FreeUrl();
}
