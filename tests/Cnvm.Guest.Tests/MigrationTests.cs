using System.Globalization;
using System.Text.Json;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests;

/// <summary>Real Linux guests move to another process while they run.</summary>
public abstract partial class MigrationTests(GuestHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    private const int DiskMiB = 8;

    /// <summary>
    /// Prints what a kernel says when its clocks or processors disappoint it; not that reading a clock took long, as it does where a busy host stops a
    /// processor in between.
    /// </summary>
    protected string Complaints => $"dmesg | grep -iE 'soft lockup|rcu.*stall|Oops|BUG:{(HasSteadyClocks ? "|unstable because" : "")}' || true";

    /// <summary>What does not depend on the hypervisor runs here; elsewhere it is part of the long form.</summary>
    protected abstract bool IsQuick { get; }

    /// <summary>Guests of this host never find its clocks wanting, moved or not.</summary>
    protected abstract bool HasSteadyClocks { get; }

    protected ITestOutputHelper Output => output;

    /// <summary>There and back, with a program that verifies its memory and registers all the while, and a disk that both may write.</summary>
    [GuestTheory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public async Task A_busy_guest_moves_there_and_back(int cpus)
    {
        Skip.If(cpus != 2 && !Soak.IsOn, "1 and 4 vCPUs are part of the long form: CNVM_SOAK=1");
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", $"{DiskMiB}M");
        string[] disks = [$"path={scratch.Path}/disk,image_type=raw", await GuestPrograms.AddDiskAsync(scratch, Host)];
        await using GuestVm first = await GuestVm.BootAsync(Host, new GuestSetup { Cpus = cpus, Disks = disks });
        await GuestPrograms.UnpackAsync(first, "vdb");
        await GuestLoad.StartAsync(first);
        string complaints = await first.AskAsync(Complaints);
        await first.AskAsync($"dd if=/dev/urandom of=/dev/vda bs=1M count={DiskMiB} && md5sum </dev/vda >/tmp/disk-sum");
        await first.TypeAsync($"(/run/selfcheck run 5 {cpus} >/tmp/check 2>&1; echo CNVM-CHECK-''END >>/tmp/check) &");

        await using GuestVm second = await MoveAsync(first, $"unix:{scratch.Path}/there");
        await GuestLoad.AssertGoesOnAsync(second, cpus);
        Assert.Equal("same", await second.AskAsync("[ \"$(md5sum </dev/vda)\" = \"$(cat /tmp/disk-sum)\" ] && echo same"));
        await second.AskAsync("echo moved | dd of=/dev/vda bs=512 conv=notrunc,fsync");

        // Of what it writes again and again only what has changed goes.
        Mode = new MoveMode("deltas", ",\"delta_cache\":268435456");
        await using GuestVm third = await MoveAsync(second, $"unix:{scratch.Path}/back");
        Assert.NotEqual(0UL, LastMove.GetProperty("delta_pages").GetUInt64());
        Report($"{Host.Hypervisor} with deltas, {cpus} vCPUs: {LastMove.GetProperty("delta_pages")} pages, {LastMove.GetProperty("delta_saved_bytes")} of {LastMove.GetProperty("transferred_bytes")} bytes saved");
        Assert.Equal("moved", await third.AskAsync("head -c 5 /dev/vda"));
        await GuestLoad.AssertGoesOnAsync(third, cpus);
        string end = await third.AskAsync("while ! grep -q CNVM-CHECK-END /tmp/check; do sleep 0.2; done; cat /tmp/check");
        output.WriteLine(end);
        Assert.Matches(@"selfcheck: checks=\d+ errors=0 rounds=[1-9]", end);
        await AssertNoComplaintAsync(third, complaints);
        await third.PowerOffAsync();
    }

    /// <summary>Moves a guest to a new process on the host where it is.</summary>
    protected Task<GuestVm> MoveOnAsync(GuestVm from, GuestHost host)
    {
        string url = $"unix:{host.Scratch}/{GuestHost.UniqueName("there")}";
        return MoveAsync(from, host, url, url, () => Task.CompletedTask);
    }

    /// <summary>Moves a guest; the process that it left is disposed.</summary>
    protected static async Task<GuestVm> GoAsync(GuestVm source, Func<GuestVm, Task<GuestVm>> move)
    {
        GuestVm target = await move(source);
        await source.DisposeAsync();
        return target;
    }

    /// <summary>
    /// Nothing is shared: files on a file system, and blocks that are written and read back all the while, are where the guest is, and
    /// the files that it left are removed behind it.
    /// </summary>
    [GuestFact]
    public async Task Disks_move_along_there_and_back_while_they_are_written()
    {
        SkipUnlessQuick();
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("files", "96M");
        await scratch.MakeFileAsync("blocks", $"{DiskMiB}M");
        await scratch.MakeFileAsync("constant", "1M");
        (await Host.RunAsync($"head -c 300000 /dev/urandom | dd of={scratch.Path}/constant conv=notrunc bs=4k seek=100 2>/dev/null")).OrThrow();
        string[] disks =
        [
            $"path={scratch.Path}/files,image_type=raw", $"path={scratch.Path}/blocks,image_type=raw,num_queues=2", $"path={scratch.Path}/constant,readonly=on",
        ];
        GuestVm guest = await GuestVm.BootAsync(Host, new GuestSetup { Cpus = 2, Disks = disks, Pulses = false });
        try
        {
            await guest.AskAsync("mke2fs /dev/vda >/dev/null && mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && head -c 8388608 /dev/urandom >/mnt/big && sync");
            await guest.AskAsync("(cd /mnt && sha256sum big; cd /dev && sha256sum vdc) >/tmp/sums");

            // What is there is not written over, and the guest does not notice.
            await using (GuestVm refusing = await GuestVm.StartAsync(Host))
            {
                string url = $"unix:{scratch.Path}/refusing";
                Task<string> receiving = await BeginReceivingAsync(refusing, url, status: 500);
                await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}","with_disks":true}""");
                Assert.Contains("disk _disk0: ", (await EndAsync(guest)).GetProperty("error").GetString(), StringComparison.Ordinal);
                Assert.Contains($"{scratch.Path}/files is there already", await receiving, StringComparison.Ordinal);
                await refusing.PutAsync("vmm.shutdown");
                await refusing.AssertEndAsync(othersRun: true);
            }

            Mode = MoveMode.WithDisks;
            MigrationLoad load = MigrationLoad.Disk("/dev/vdb");
            for (int move = 1; move <= 2; move++)
            {
                await load.StartAsync(guest);
                guest = await GoAsync(guest, g => MoveOnAsync(g, Host));
                (await Host.RunAsync($"rm {string.Join(' ', new[] { "files", "blocks", "constant" }.Select(f => $"{scratch.Path}/{f}{new string('+', move - 1)}"))}")).OrThrow();
                await guest.AskAsync($"echo {move} >/mnt/moved && sync");
                await load.EndAsync(guest);
                Assert.Equal(
                    "big: OK\nvdc: OK", await guest.AskAsync("echo 3 >/proc/sys/vm/drop_caches; (cd /mnt && head -n 1 /tmp/sums | sha256sum -c; cd /dev && tail -n 1 /tmp/sums | sha256sum -c)"));
                Assert.Equal((96UL + DiskMiB + 1) << 20, LastMove.GetProperty("disk_bytes").GetUInt64());

                // 8 MiB of random bytes went with their contents, and most of the rest is holes here as there.
                Assert.InRange(LastMove.GetProperty("disk_data_bytes").GetUInt64(), 8u << 20, 40u << 20);
                Assert.InRange(await scratch.AllocatedKiBAsync("files" + new string('+', move)), 8 * 1024, 16 * 1024);
                Report(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{Host.Hypervisor} with 3 disks: stood still {LastMove.GetProperty("downtime_ms")} ms of {LastMove.GetProperty("elapsed_ms")} ms, "
                    + $"{LastMove.GetProperty("disk_data_bytes").GetUInt64() >> 20} MiB of disks sent in {LastMove.GetProperty("rounds")} rounds"));
            }

            // A reboot finds them at their new places.
            await guest.AskAsync("umount /mnt");
            Assert.Equal($"{scratch.Path}/files++", PathOf((await guest.GetAsync("vm.info")).GetProperty("config").GetProperty("disks")[0]));
            await guest.PutAsync("vm.reboot");
            await guest.WaitForShellAsync();
            Assert.Equal("2", await guest.AskAsync("mount -t ext4 /dev/vda /mnt && cat /mnt/moved && umount /mnt"));
            await guest.PowerOffAsync();
        }
        finally
        {
            await guest.DisposeAsync();
        }
    }

    [GuestFact]
    public async Task What_cannot_move_stays_and_says_why()
    {
        SkipUnlessQuick();
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "1M");
        string url = $"unix:{scratch.Path}/there";
        await using GuestVm guest = await GuestVm.BootAsync(Host, new GuestSetup { Disks = [$"path={scratch.Path}/disk,image_type=raw"] });
        await GuestLoad.StartAsync(guest);

        // Nobody there.
        await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}"}""");
        Assert.Contains("cannot be reached", (await EndAsync(guest)).GetProperty("error").GetString(), StringComparison.Ordinal);

        // A target that lacks something: the disk is another file there, as far as the target can see.
        await using GuestVm target = await GuestVm.StartAsync(Host);
        Task<string> receiving = await BeginReceivingAsync(target, url, status: 500);
        (await Host.RunAsync($"mv {scratch.Path}/disk {scratch.Path}/hidden")).OrThrow();
        await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}"}""");
        JsonElement end = await EndAsync(guest);
        (await Host.RunAsync($"mv {scratch.Path}/hidden {scratch.Path}/disk")).OrThrow();
        Assert.Contains("_disk0", end.GetProperty("error").GetString(), StringComparison.Ordinal);
        Assert.Equal("Here", end.GetProperty("guest").GetString());
        Assert.Contains("_disk0", await receiving, StringComparison.Ordinal);
        Assert.Equal("There", (await target.GetAsync("vm.migration")).GetProperty("guest").GetString());
        await target.CallAsync("GET", "vm.info", status: 404);

        // The source is killed half-way: the target has nothing, and takes the next guest.
        receiving = await BeginReceivingAsync(target, url, status: 500);
        await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}","max_bytes_per_s":1000000}""");
        await target.WaitForEventAsync("vm", "migration-receive-started", 2);

        // Meanwhile everybody answers, and nothing that would disturb is done.
        await guest.PutAsync("vm.pause", status: 500);
        await guest.PutAsync("vm.shutdown", status: 500);
        Assert.Equal("Running", await guest.StateAsync());
        Assert.Equal(target.ProcessId, (await target.GetAsync("vmm.ping")).GetProperty("pid").GetInt32());
        Assert.Equal("Created", await target.StateAsync());
        Assert.Equal("Precopy", (await guest.GetAsync("vm.migration")).GetProperty("phase").GetString());
        await guest.PutAsync("vm.migration-set", """{"max_bytes_per_s":900000,"downtime_ms":200}""");
        await guest.PutAsync("vm.migration-cancel");
        Assert.Equal("Cancelled", (await EndAsync(guest)).GetProperty("phase").GetString());
        Assert.Contains("it was cancelled", await receiving, StringComparison.Ordinal);
        await GuestLoad.AssertGoesOnAsync(guest, 1);
        Assert.Contains("vm:migration-failed", await guest.EventsAsync());

        // A guest that powers off while it moves ends here, and nothing arrives.
        receiving = await BeginReceivingAsync(target, url, status: 500);
        await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}","max_bytes_per_s":1000000}""");
        await target.WaitForEventAsync("vm", "migration-receive-started", 3);
        await guest.TypeAsync("poweroff");
        await guest.AssertEndAsync(othersRun: true);
        Assert.Contains("PowerOff", await receiving, StringComparison.Ordinal);
        await target.PutAsync("vmm.shutdown");
        await target.AssertEndAsync();
    }

    [GuestFact]
    public async Task Either_side_may_be_killed_and_one_guest_is_left()
    {
        SkipUnlessQuick();
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("nothing", "0");
        string url = $"unix:{scratch.Path}/there";
        await using GuestVm guest = await GuestVm.BootAsync(Host, new GuestSetup());
        await GuestLoad.StartAsync(guest);
        await using (GuestVm dying = await GuestVm.StartAsync(Host))
        {
            Task<string> lost = dying.TryCallAsync("PUT", "vm.receive-migration", $$"""{"receiver_url":"{{url}}"}""");
            await dying.WaitForEventAsync("vm", "migration-receive-ready");
            await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}","max_bytes_per_s":1000000}""");
            await dying.WaitForEventAsync("vm", "migration-receive-started");
            (await Host.RunAsync($"kill -KILL {dying.ProcessId}")).OrThrow();
            JsonElement end = await EndAsync(guest);
            Assert.Equal("Here", end.GetProperty("guest").GetString());
            await lost;
        }

        await GuestLoad.AssertGoesOnAsync(guest, 1);
        await using GuestVm target = await GuestVm.StartAsync(Host);
        Task<string> receiving = await BeginReceivingAsync(target, url, status: 500);
        await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}","max_bytes_per_s":1000000}""");
        await target.WaitForEventAsync("vm", "migration-receive-started");
        (await Host.RunAsync($"kill -KILL {guest.ProcessId}")).OrThrow();
        Assert.Contains("No VM has arrived", await receiving, StringComparison.Ordinal);
        await target.CallAsync("GET", "vm.info", status: 404);
        await target.PutAsync("vmm.shutdown");
        await target.AssertEndAsync();
    }

    private void SkipUnlessQuick() => Skip.If(!IsQuick && !Soak.IsOn, "the same for all hypervisors, and part of the long form here: CNVM_SOAK=1");

    /// <summary>Moves a guest to a new process on the host; the old one ends.</summary>
    protected Task<GuestVm> MoveAsync(GuestVm from, string url, string? networkNamespace = null) =>
        MoveAsync(from, Host, url, url, () => Task.CompletedTask, networkNamespace);

    /// <summary>Moves a guest to a new process; the old one ends.</summary>
    /// <param name="to">The new process's host.</param>
    /// <param name="receiver">Where it listens.</param>
    /// <param name="destination">Where the source finds it.</param>
    /// <param name="carry">Begins to carry what the source sends, once the target listens, until it is over.</param>
    protected async Task<GuestVm> MoveAsync(
        GuestVm from, GuestHost to, string receiver, string destination, Func<Task> carry, string? networkNamespace = null)
    {
        GuestVm target = await GuestVm.StartAsync(to, networkNamespace);
        try
        {
            Task<string> receiving = await BeginReceivingAsync(target, receiver, disks: Mode.BringsDisks ? await PlacementsAsync(from) : null, keys: Mode.ReceiveKeys);
            Task carrying = carry();
            await SendAsync(from, destination);
            await receiving;
            await carrying;
            await from.AssertEndAsync(othersRun: true);
            Assert.Equal("Running", await target.StateAsync());
            Assert.Contains("vm:migration-receive-finished", await target.EventsAsync());
            return target;
        }
        catch
        {
            await target.DisposeAsync();
            throw;
        }
    }

    /// <summary>Begins to receive; the inner task has the answer, which comes when it is over.</summary>
    /// <param name="disks">Where disks go that come along, as JSON.</param>
    /// <param name="keys">More of the body, beginning with a comma.</param>
    protected static async Task<Task<string>> BeginReceivingAsync(GuestVm target, string url, int status = 0, string? disks = null, string keys = "")
    {
        int before = (await target.EventsAsync()).Count(e => e == "vm:migration-receive-ready");
        string more = disks is null ? keys : $"{keys},\"disks\":{disks}";
        Task<string> receiving = target.PutAsync("vm.receive-migration", $$"""{"receiver_url":"{{url}}"{{more}}}""", status);
        await target.WaitForEventAsync("vm", "migration-receive-ready", before + 1);
        return receiving;
    }

    /// <summary>How the next guests move.</summary>
    private protected MoveMode Mode { get; set; } = MoveMode.Precopy;

    private static async Task<string> PlacementsAsync(GuestVm from)
    {
        JsonElement disks = (await from.GetAsync("vm.info")).GetProperty("config").GetProperty("disks");
        return "[" + string.Join(",", disks.EnumerateArray().Select(d =>
            $$"""{"id":"{{d.GetProperty("id").GetString()}}","path":"{{PathOf(d)}}+"}""")) + "]";
    }

    private static string PathOf(JsonElement disk) => disk.GetProperty("path").GetString()!;

    /// <summary>What the source said of the last move.</summary>
    protected JsonElement LastMove { get; private set; }

    protected async Task SendAsync(GuestVm from, string url)
    {
        JsonElement end = LastMove = JsonDocument.Parse(await from.PutAsync(
            "vm.send-migration",
            $$"""{"destination_url":"{{url}}","wait":true{{(Mode.BringsDisks ? ",\"with_disks\":true" : "")}}{{Mode.SendKeys}}}""")).RootElement;
        output.WriteLine(end.ToString());
        Assert.Equal("Completed", end.GetProperty("phase").GetString());
        Assert.Equal("There", end.GetProperty("guest").GetString());
        Assert.True(end.GetProperty("downtime_ms").GetUInt64() < 60_000, string.Create(CultureInfo.InvariantCulture, $"{end}"));
    }

    /// <summary>The kernel has nothing to say about its clocks and processors that it did not say before.</summary>
    protected async Task AssertNoComplaintAsync(GuestVm guest, string before)
    {
        string now = await guest.AskAsync(Complaints);
        Assert.True(now == before, now);
    }

    protected void Report(string line)
    {
        output.WriteLine(line);
        if (Soak.ReportFile is { } file)
        {
            File.AppendAllText(file, line + "\n");
        }
    }

    protected static async Task<JsonElement> EndAsync(GuestVm guest) =>
        JsonDocument.Parse(await guest.PutAsync("vm.migration-wait")).RootElement;
}
