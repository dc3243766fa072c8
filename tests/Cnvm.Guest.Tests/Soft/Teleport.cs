using System.Text.RegularExpressions;
using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>
/// Guests that go from one user's runtime directory to another one's, as if to another host: what stands in for ssh gives the command to a
/// shell of this machine.
/// </summary>
[Collection(SoftGuests.Name)]
public sealed partial class Teleport(SoftHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    private const string Writes =
        "(i=0; while :; do dd if=/dev/urandom of=/tmp/b bs=64k count=1 2>/dev/null; n=$((i%64)); dd if=/tmp/b of=/dev/vda bs=64k seek=$n conv=notrunc,fsync 2>/dev/null; "
        + "blockdev --flushbufs /dev/vda; dd if=/dev/vda bs=64k skip=$n count=1 2>/dev/null | cmp - /tmp/b && echo CNVM-TICK $i ok || echo CNVM-BAD $i; i=$((i+1)); done) &";

    private static string Cnvm => Shell.Quote(Path.Combine(Path.GetDirectoryName(GuestHostFixture.Vmm)!, "cnvm"));

    [SkippableFact]
    public async Task A_guest_at_work_teleports_with_its_disk_twice()
    {
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "8M");
        string there = await MakeHostAsync(scratch, "there");
        string beyond = await MakeHostAsync(scratch, "beyond");
        await using GuestVm guest = await GuestVm.BootAsync(
            Host, new GuestSetup { Cpus = 2, Disks = [$"path={scratch.Path}/disk,image_type=raw"], Pulses = false });
        await guest.AskAsync("dd if=/dev/urandom of=/dev/vda bs=64k seek=64 count=64 conv=fsync && dd if=/dev/vda bs=64k skip=64 2>/dev/null | sha256sum >/tmp/sum");
        await guest.TypeAsync(Writes);
        await guest.WaitForAsync("CNVM-TICK 2 ok");
        try
        {
            // What stands in the way is said, and nothing is left there.
            string teleport = $"{Cnvm} teleport --api-socket {guest.Socket} there --name web --ssh '{there}/ssh -x'";
            CommandResult refused = await Host.RunAsync($"{teleport} --disks {there}/vms --dry-run", GuestVm.Patience);
            Assert.Equal(1, refused.ExitCode);
            Assert.Contains($"disk _disk0: there is no directory {there}/vms", refused.Error, StringComparison.Ordinal);
            refused = await Host.RunAsync($"{teleport} --dry-run", GuestVm.Patience);
            Assert.Contains($"{scratch.Path}/disk is there already", refused.Error, StringComparison.Ordinal);
            refused = await Host.RunAsync($"{teleport} --remote-cnvm /nonexistent/cnvm", GuestVm.Patience);
            Assert.Contains("there is not ready to receive a VM", refused.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("web", (await Host.RunAsync($"XDG_RUNTIME_DIR={there} {Cnvm} ps -q")).OrThrow().Output, StringComparison.Ordinal);
            Assert.Equal("Running", await guest.StateAsync());

            (await Host.RunAsync($"mkdir {there}/vms {beyond}/vms")).OrThrow();
            CommandResult possible = (await Host.RunAsync($"{teleport} --disks {there}/vms --dry-run", GuestVm.Patience)).OrThrow();
            Assert.Contains("can move to there", possible.Output, StringComparison.Ordinal);
            Assert.Equal("", (await Host.RunAsync($"ls {there}/vms")).OrThrow().Output);

            CommandResult moved = (await Host.RunAsync($"{teleport} --disks {there}/vms", GuestVm.Patience)).OrThrow();
            output.WriteLine(moved.Output + moved.Error);
            Assert.Contains("has moved to there as web, and is running there", moved.Output, StringComparison.Ordinal);
            await guest.AssertEndAsync(othersRun: true);
            await AssertTicksAsync(there);

            // On to the next host, and this time the one before keeps it.
            moved = (await Host.RunAsync(
                $"XDG_RUNTIME_DIR={there} {Cnvm} teleport web beyond --disks {beyond}/vms --keep --ssh '{beyond}/ssh -x'", GuestVm.Patience)).OrThrow();
            output.WriteLine(moved.Output + moved.Error);
            Assert.Contains("here it stays paused", moved.Output, StringComparison.Ordinal);
            Assert.Contains("\"state\":\"Paused\"", (await Host.RunAsync($"XDG_RUNTIME_DIR={there} {Cnvm} info web")).OrThrow().Output.Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
            await AssertTicksAsync(beyond);
            Assert.Equal("disk\n", (await Host.RunAsync($"ls {beyond}/vms")).OrThrow().Output);
        }
        finally
        {
            await Host.CleanUpAsync(async () =>
            {
                await Host.RunAsync($"XDG_RUNTIME_DIR={there} {Cnvm} shutdown-vmm web; XDG_RUNTIME_DIR={beyond} {Cnvm} shutdown-vmm web");
            });
        }

        // Half of the disk nobody has written meanwhile.
        Assert.Equal(
            (await Host.RunAsync($"dd if={scratch.Path}/disk bs=64k skip=64 2>/dev/null | sha256sum")).OrThrow().Output,
            (await Host.RunAsync($"dd if={beyond}/vms/disk bs=64k skip=64 2>/dev/null | sha256sum")).OrThrow().Output);
    }

    /// <summary>A runtime directory, and what stands in for ssh to whoever has it.</summary>
    private async Task<string> MakeHostAsync(ScratchDirectory scratch, string name)
    {
        string folder = $"{scratch.Path}/{name}";
        string vmm = Shell.Quote(GuestHostFixture.Vmm);
        (await Host.RunAsync(
            $$"""
            mkdir -m 700 {{folder}} && cat >{{folder}}/ssh <<'END' && cat >{{folder}}/vmm <<'END' && chmod 755 {{folder}}/ssh {{folder}}/vmm
            #!/bin/sh
            [ "$1" = -x ] && [ "$6" = {{name}} ] && [ $# = 7 ] || exit 99
            XDG_RUNTIME_DIR={{folder}} CNVM_VMM={{folder}}/vmm PATH="$(dirname {{vmm}}):$PATH" exec sh -c "$7"
            END
            #!/bin/sh
            exec {{vmm}} --hypervisor {{Host.Hypervisor}} "$@"
            END
            """)).OrThrow();
        return folder;
    }

    /// <summary>The guest goes on there, and every block that it has written is what it reads.</summary>
    private async Task AssertTicksAsync(string folder)
    {
        string log = $"{folder}/cnvm/web.log";
        (await Host.RunAsync(
            $"for i in $(seq 1200); do [ $(grep -c 'CNVM-TICK .* ok' {log}) -ge 3 ] && exit 0; sleep 0.1; done; cat {log} >&2; exit 1", GuestVm.Patience)).OrThrow();
        string said = (await Host.RunAsync($"cat {log}")).OrThrow().Output;
        Assert.DoesNotContain("CNVM-BAD", said, StringComparison.Ordinal);
        int[] ticks = [.. Tick().Matches(said).Select(m => int.Parse(m.Groups[1].Value))];
        Assert.Equal(Enumerable.Range(ticks[0], ticks.Length), ticks);
    }

    [GeneratedRegex(@"CNVM-TICK (\d+) ok")]
    private static partial Regex Tick();
}
