using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Cnvm.Tests;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>
/// One of the two processes of a migration is killed at every phase of it, while a message is held that says exactly where it is. The other one
/// runs the guest with all its memory and its disk, or says why it does not; never do both, and nobody hangs.
/// </summary>
[Collection(SoftGuests.Name)]
public sealed class MigrationKills(SoftHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    private const int AtOnce = 3;

    /// <summary>So slow that a guest at work never gets done within <see cref="PostcopyKeys"/>' downtime.</summary>
    private const string PostcopyKeys = ",\"memory_mode\":\"Postcopy\",\"downtime_ms\":1,\"max_bytes_per_s\":60000000";

    [SkippableFact]
    public async Task Whoever_is_killed_whenever_at_most_one_side_has_the_guest()
    {
        List<Kill> kills = [.. Kill.All.Where(k => Soak.IsOn || k.IsTelling)];
        if (!Environment.IsPrivilegedProcess)
        {
            output.WriteLine("userfaultfd is root's, unless the host permits it to others: nothing with post-copy");
            kills.RemoveAll(k => k.Postcopy);
        }

        await using var scratch = new ScratchDirectory(Host);
        string snapshot = await MakeSnapshotAsync(scratch);
        var failures = new StringBuilder();
        using var seats = new SemaphoreSlim(AtOnce);
        await Task.WhenAll(kills.Select(async (kill, number) =>
        {
            await seats.WaitAsync();
            long started = Stopwatch.GetTimestamp();
            string result;
            try
            {
                result = await RunAsync(kill, scratch, snapshot, number);
            }
            catch (Exception e) when (e is Xunit.Sdk.XunitException or InvalidOperationException or TimeoutException or KeyNotFoundException)
            {
                result = "FAILED";
                lock (failures)
                {
                    failures.AppendLine(CultureInfo.InvariantCulture, $"{kill}: {e}\n");
                }
            }
            finally
            {
                seats.Release();
            }

            string line = string.Create(CultureInfo.InvariantCulture, $"{kill}: {kill.Then}, {Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s: {result}");
            lock (failures)
            {
                output.WriteLine(line);
            }

            ResultTable.Of("kills", "killed at", "source killed: the target", "target killed: the source").Set(
                number,
                $"{(kill.Postcopy ? "post-copy, " : "")}{kill.Phase}{(kill.Delivers ? ", its message comes" : "")}",
                kill.KillsSource ? "source killed: the target" : "target killed: the source",
                $"{kill.Then}: {result}");

            if (Soak.ReportFile is { } file)
            {
                await File.AppendAllTextAsync(file, line + "\n");
            }
        }));
        Assert.True(failures.Length == 0, failures.ToString());
    }

    /// <summary>A guest at work, with a disk that it knows.</summary>
    private async Task<string> MakeSnapshotAsync(ScratchDirectory scratch)
    {
        await scratch.MakeFileAsync("disk", "1M");
        await using GuestVm guest = await GuestVm.BootAsync(
            Host, new GuestSetup { MemoryMiB = 128, Disks = [$"path={scratch.Path}/disk,image_type=raw"], Pulses = false });
        await guest.AskAsync("dd if=/dev/urandom of=/dev/vda bs=64k count=8 && sync && md5sum /dev/vda >/tmp/disk-sum");
        await GuestLoad.StartAsync(guest);
        (await Host.RunAsync($"mkdir {scratch.Path}/snapshot")).OrThrow();
        await guest.PutAsync("vm.pause");
        await guest.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{scratch.Path}}/snapshot"}""");
        await guest.PutAsync("vmm.shutdown");
        await guest.AssertEndAsync(othersRun: true);
        return $"{scratch.Path}/snapshot";
    }

    private async Task<string> RunAsync(Kill kill, ScratchDirectory scratch, string snapshot, int number)
    {
        string disk = $"{scratch.Path}/disk-{number}";
        string arrived = $"{scratch.Path}/arrived-{number}";
        string there = $"{scratch.Path}/there-{number}";
        (await Host.RunAsync($"cp {scratch.Path}/disk {disk}")).OrThrow();
        await using GuestVm source = await GuestVm.RestoreAsync(Host, snapshot, $",disk_overrides=[_disk0@{disk}]");
        await using GuestVm target = await GuestVm.StartAsync(Host);
        using var relay = new HoldingRelay($"{there}-relay", there, kill.At, kill.Cut);
        Task<string> receiving = target.TryCallAsync(
            "PUT", "vm.receive-migration", $$"""{"receiver_url":"unix:{{there}}","disks":[{"id":"_disk0","path":"{{arrived}}"}]}""");
        await target.WaitForEventAsync("vm", "migration-receive-ready");
        await source.PutAsync(
            "vm.send-migration", $$"""{"destination_url":"unix:{{there}}-relay","with_disks":true{{(kill.Postcopy ? PostcopyKeys : "")}}}""");
        if (await Task.WhenAny(relay.Reached, Task.Delay(GuestVm.Patience)) != relay.Reached)
        {
            Assert.Fail($"{kill.At} never came, but {relay.Passed}: {await source.GetAsync("vm.migration")}");
        }

        if (kill.Isolates)
        {
            relay.Isolate();
            await source.WaitForEventAsync("vm", "migration-postcopy-lost");
            await target.WaitForEventAsync("vm", "migration-postcopy-lost");
        }

        (GuestVm killed, GuestVm other) = kill.KillsSource ? (source, target) : (target, source);
        (await Host.RunAsync($"kill -KILL {killed.ProcessId}; for i in $(seq 200); do [ -e /proc/{killed.ProcessId} ] || exit 0; sleep 0.02; done; exit 1")).OrThrow();
        relay.Release(kill.Delivers);
        string said = await AssertAsync(kill, other, receiving, arrived);
        if (kill.Then is Survivor.SourceGoesOn or Survivor.SourceAsks or Survivor.TargetGoesOn)
        {
            await AssertIntactAsync(other);
        }

        if (kill.Then is Survivor.TargetIsEmpty or Survivor.TargetWaitsForSource or Survivor.TargetWaitsForPages or Survivor.SourceKeeps)
        {
            await other.PutAsync("vmm.shutdown");
            await other.AssertEndAsync(othersRun: true);
        }

        return said;
    }

    /// <summary>Returns what the one that is left says.</summary>
    /// <param name="receiving">The answer to vm.receive-migration.</param>
    /// <param name="arrived">Where the disk arrives.</param>
    private async Task<string> AssertAsync(Kill kill, GuestVm vm, Task<string> receiving, string arrived)
    {
        switch (kill.Then)
        {
            case Survivor.SourceGoesOn:
                JsonElement end = JsonDocument.Parse(await vm.PutAsync("vm.migration-wait")).RootElement;
                Assert.Equal(("Failed", "Here"), PhaseOf(end));
                Assert.Equal("Running", await vm.StateAsync());
                return ErrorOf(end);
            case Survivor.SourceAsks:
                // Nobody lets the guest go on meanwhile, neither this VMM nor a person by mistake.
                await WaitForPhaseAsync(vm, "Asking");
                Assert.Equal("Paused", await vm.StateAsync());
                await vm.PutAsync("vm.resume", status: 500);
                JsonElement asking = await vm.GetAsync("vm.migration");
                Assert.Equal(("Asking", "Unknown"), PhaseOf(asking));

                // With memory that only it has a source asks on until a person ends that, and otherwise for a minute.
                await vm.PutAsync("vm.migration-cancel", status: kill.Postcopy ? 204 : 500);
                JsonElement unknown = JsonDocument.Parse(await vm.PutAsync("vm.migration-wait")).RootElement;
                Assert.Equal(("Unknown", "Unknown"), PhaseOf(unknown));
                Assert.Equal("Paused", await vm.StateAsync());
                await vm.PutAsync("vm.resume");
                return ErrorOf(unknown);
            case Survivor.SourceKeeps:
                await WaitForPhaseAsync(vm, "PostcopyLost");
                JsonElement kept = await vm.GetAsync("vm.migration");
                Assert.Equal(("PostcopyLost", "There"), PhaseOf(kept));
                Assert.Equal("Paused", await vm.StateAsync());
                await vm.PutAsync("vm.resume", status: 500);
                return ErrorOf(kept);
            case Survivor.SourceHasEnded:
                await vm.AssertEndAsync(othersRun: true);
                Assert.Contains("vm:migration-finished", await vm.EventsAsync());
                return "completed";
            case Survivor.TargetIsEmpty:
                Assert.Contains("No VM has arrived", await receiving, StringComparison.Ordinal);
                JsonElement empty = await vm.GetAsync("vm.migration");
                Assert.Equal(("Failed", "There"), PhaseOf(empty));
                await vm.CallAsync("GET", "vm.info", status: 404);
                Assert.Equal("", (await Host.RunAsync($"ls {arrived}* 2>/dev/null || true")).OrThrow().Output);
                return ErrorOf(empty);
            case Survivor.TargetWaitsForSource:
                Assert.Equal(("Connecting", "There"), PhaseOf(await vm.GetAsync("vm.migration")));
                Assert.False(receiving.IsCompleted, "vm.receive-migration is answered though nobody has come");
                await vm.PutAsync("vm.migration-cancel");
                Assert.Contains("No VM has arrived", await receiving, StringComparison.Ordinal);
                return "waits on";
            case Survivor.TargetGoesOn:
                Assert.Equal("", await receiving);
                Assert.Equal(("Completed", "Here"), PhaseOf(await vm.GetAsync("vm.migration")));
                Assert.Equal("Running", await vm.StateAsync());
                return "completed";
            default:
                await WaitForPhaseAsync(vm, "PostcopyLost");
                JsonElement waiting = await vm.GetAsync("vm.migration");
                Assert.Equal(("PostcopyLost", "Here"), PhaseOf(waiting));
                Assert.NotEqual(0UL, waiting.GetProperty("remaining_bytes").GetUInt64());
                foreach (string call in (string[])["vm.pause", "vm.reboot", "vm.delete"])
                {
                    Assert.Contains("vmm.shutdown", await vm.PutAsync(call, status: 500), StringComparison.Ordinal);
                }

                Assert.False(receiving.IsCompleted, "vm.receive-migration is answered though memory is missing");
                return ErrorOf(waiting);
        }
    }

    /// <summary>It works on, with the memory and the disk that it had.</summary>
    private static async Task AssertIntactAsync(GuestVm vm)
    {
        long first = await GuestLoad.CountAsync(vm);
        Assert.Equal(
            "/tmp/random: OK\n/dev/vda: OK",
            await vm.AskAsync($"while [ $(cat /tmp/count) -le {first} ]; do :; done; echo 3 >/proc/sys/vm/drop_caches; md5sum -c /tmp/sum && md5sum -c /tmp/disk-sum"));
    }

    private static async Task WaitForPhaseAsync(GuestVm vm, string phase)
    {
        long started = Stopwatch.GetTimestamp();
        while (true)
        {
            (string now, _) = PhaseOf(await vm.GetAsync("vm.migration"));
            if (now == phase)
            {
                return;
            }

            Assert.True(Stopwatch.GetElapsedTime(started) < GuestVm.Patience, $"{now}, not {phase}: {await vm.ErrorsAsync()}");
            await Task.Delay(50);
        }
    }

    private static (string Phase, string Guest) PhaseOf(JsonElement migration) =>
        (migration.GetProperty("phase").GetString()!, migration.GetProperty("guest").GetString()!);

    private static string ErrorOf(JsonElement migration)
    {
        string? error = migration.GetProperty("error").GetString();
        Assert.False(string.IsNullOrEmpty(error), $"no reason is given: {migration}");
        return error;
    }
}
