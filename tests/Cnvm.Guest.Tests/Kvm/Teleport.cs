using System.Text.RegularExpressions;
using Cnvm.Nested;
using Cnvm.Tests;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

/// <summary>A Debian guest goes from one KVM host to another one and back, by ssh and an SSH server as they are.</summary>
/// <param name="fixture">The host of other tests; named here so that a test that failed is run again.</param>
[Collection(KvmGuests.Name)]
#pragma warning disable CS9113 // The test case reads it from the constructor's arguments.
public sealed partial class Teleport(NestedHostFixture fixture, ITestOutputHelper output)
#pragma warning restore CS9113
{
    private const int MemoryMiB = 3000;
    private const int Port = 5002;
    private const int MigrationPort = 7000;
    private const string Folder = TeleportHost.Folder;
    private const string GuestAddress = "192.168.249.2";
    private const string CertifiedName = "cnvm.test";

    [GuestFact]
    public async Task A_debian_guest_teleports_between_two_hosts_and_a_connection_lives_on()
    {
        Skip.If(!Soak.IsOn, "a Debian disk goes between emulated hosts, twice: part of the long form, CNVM_SOAK=1");
        using var link = new NestedHostLink();
        await using TeleportHost here = await TeleportHost.StartAsync(link.First, MemoryMiB, hasRootDisk: true, tscKhz: 0);
        await using TeleportHost there = await TeleportHost.StartAsync(link.Second, MemoryMiB, hasRootDisk: false, await here.TscKhzAsync());
        await here.SetUpAsync();
        await there.SetUpAsync();
        await here.BeginToServeAsync(there);
        await there.BeginToServeAsync(here);
        await MakeDiskAsync(here);
        await there.RunAsync($"mkdir {Folder}/vms {Folder}/taken && echo mine >{Folder}/taken/root.raw");
        await here.RunAsync($"mkdir {Folder}/back");
        await CertifyAsync(here, there);

        await using GuestVm guest = await GuestVm.BootAsync(here.Host, GuestSetup.Debian with
        {
            Cpus = 2,
            Disks = [$"path={Folder}/root.raw,image_type=raw"],
            Net = "tap=tap0,mac=52:54:00:c0:ff:ee",
            Pulses = false,
        });
        await guest.TypeAsync($"answer {Port} & file-writer &");
        await here.RunAsync(
            "set -e; ip netns add third; ip link add toward type veth peer name eth0 netns third; ip link set toward master br0 up; "
            + "ip -n third link set lo up; ip -n third address add 192.168.249.1/24 dev eth0; ip -n third link set eth0 up");
        await using ThirdParty third = await ThirdParty.ConnectAsync(here.Host, "third", GuestAddress, Port);
        int before = await AssertFilesAsync(third, 0);
        _ = await third.MarkAsync();

        await AssertObstaclesAreNamedAsync(here, there, guest);
        (int quiet, int answers) = await third.MarkAsync();
        output.WriteLine($"at rest, dry runs beside it: {answers} answers, longest time without one {quiet} ms");

        // Through ssh.
        string moved = await here.RunAsync($"teleport --api-socket {guest.Socket} there --name web --disks {Folder}/vms");
        Assert.Contains("has moved to there as web, and is running there", moved, StringComparison.Ordinal);
        await ReportAsync(third, "through ssh", moved);
        await guest.AssertEndAsync(othersRun: true);
        int during = await AssertFilesAsync(third, before);
        await AssertStateAsync(there, "Running");
        Assert.Contains("dev tap0", await there.RunAsync("bridge fdb show | grep 52:54:00:c0:ff:ee"), StringComparison.Ordinal);
        Assert.Contains("dev eth1", await here.RunAsync("bridge fdb show | grep 52:54:00:c0:ff:ee"), StringComparison.Ordinal);

        // And back beside it, with TLS; this time the source keeps it. While the guest read its files, it answered nobody.
        _ = await third.MarkAsync();
        moved = await there.RunAsync(
            $"teleport web there --disks {Folder}/back --keep --direct tcp:{here.Address}:{MigrationPort} --tls {Folder}/tls --tls-name {CertifiedName}");
        Assert.Contains("here it stays paused", moved, StringComparison.Ordinal);
        await ReportAsync(third, "directly, with TLS", moved);
        await AssertStateAsync(there, "Paused");
        await AssertStateAsync(here, "Running");
        await there.RunAsync("$cnvm shutdown-vmm web");
        _ = await AssertFilesAsync(third, during);

        await third.AskAsync("touch /root/stop");
        await third.AskAsync("for i in $(seq 600); do [ -e /root/stopped ] && exit 0; sleep 0.1; done; exit 1");
        int files = await AssertFilesAsync(third, during);
        output.WriteLine($"{files} files written, {before} of them before the first move; {await third.EndAsync()}");
        await here.RunAsync("$cnvm power-button web && { $cnvm wait web --timeout 5m || [ $? = 3 ]; }");
        await AssertDiskAsync(here, $"{Folder}/back/root.raw", files);
    }

    /// <summary>A disk of the guest's own, with the programs that it runs.</summary>
    private static async Task MakeDiskAsync(TeleportHost host)
    {
        string programs = Path.Combine(Repository.Root, "tests", "Cnvm.Guest.Tests", "Programs");
        await host.RunAsync(
            $"""
            set -e
            cp --sparse=always /dev/vda {Folder}/root.raw
            debugfs -w {Folder}/root.raw 2>&1 <<'END'
            cd /usr/local/sbin
            write {programs}/answer.pl answer
            write {programs}/file-writer.sh file-writer
            set_inode_field answer mode 0100755
            set_inode_field file-writer mode 0100755
            END
            """);
    }

    private static async Task CertifyAsync(params TeleportHost[] hosts)
    {
        using var authority = new TestAuthority("those who teleport");
        using var folder = new TemporaryDirectory(Path.GetTempPath(), "cnvm-certificates-");
        foreach (TeleportHost host in hosts)
        {
            string mine = authority.Fill(folder.File(host.Address), CertifiedName);
            await host.RunAsync($"mkdir -m 700 {Folder}/tls");
            foreach (string file in Directory.GetFiles(mine))
            {
                await host.Host.Commands.CopyToAsync(file, $"{Folder}/tls/{Path.GetFileName(file)}");
            }
        }
    }

    /// <summary>What stands in the way is named by a dry run, and when nothing does, nothing is.</summary>
    private static async Task AssertObstaclesAreNamedAsync(TeleportHost here, TeleportHost there, GuestVm guest)
    {
        string dry = $"teleport --api-socket {guest.Socket} there --name web --dry-run --disks {Folder}";
        const string Unreached = "there has no tap0 in a bridge, as it is in br0 here";
        await there.RunAsync("ip link delete tap0 && ip link add tap0 type bridge");
        CommandResult refused = await here.TryAsync($"{dry}/vms");
        AssertRefused(refused, Unreached, "network back end tap0 cannot be used");

        await there.RunAsync("ip link delete tap0 && ip tuntap add dev tap0 mode tap && ip link set tap0 up");
        refused = await here.TryAsync($"{dry}/taken");
        AssertRefused(refused, Unreached, $"{Folder}/taken/root.raw is there already");

        await there.RunAsync("ip link set tap0 master br0");
        CommandResult possible = (await here.TryAsync($"{dry}/vms")).OrThrow();
        Assert.Contains("can move to there", possible.Output, StringComparison.Ordinal);
        Assert.Equal("", possible.Error);
        Assert.Equal("", await there.RunAsync($"ls {Folder}/vms; $cnvm ps -q"));
        Assert.Equal("Running", await guest.StateAsync());
    }

    private static void AssertRefused(CommandResult refused, params string[] reasons)
    {
        Assert.True(refused.ExitCode == 1, refused.Output + refused.Error);
        Assert.All(reasons, reason => Assert.True(refused.Error.Contains(reason, StringComparison.Ordinal), $"not '{reason}', but {refused.Error}"));
    }

    private static async Task AssertStateAsync(TeleportHost host, string state) =>
        Assert.Contains($"\"state\":\"{state}\"", (await host.RunAsync("$cnvm info web")).Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);

    /// <summary>The guest reads its files from the disk; there are more than at the last time.</summary>
    private static async Task<int> AssertFilesAsync(ThirdParty third, int last)
    {
        int files = 0;
        for (int i = 0; i < 100 && files <= last; i++)
        {
            string said = await third.AskAsync(
                "sleep 1; cp /root/sums /run/sums && sync && echo 3 >/proc/sys/vm/drop_caches && cd /root/data && sha256sum --check --quiet /run/sums && wc -l </run/sums");
            files = int.Parse(said);
        }

        Assert.True(files > last, $"{files} files, and there were {last} before");
        return files;
    }

    /// <summary>What the guest has written is in the file, and its file system is whole.</summary>
    private static async Task AssertDiskAsync(TeleportHost host, string disk, int files)
    {
        string read = await host.RunAsync(
            $"""
            set -e
            e2fsck -fn {disk} >/dev/null 2>&1
            mkdir {Folder}/read
            debugfs -R 'rdump /root/data {Folder}/read' {disk} 2>&1
            debugfs -R 'dump /root/sums {Folder}/read/sums' {disk} 2>&1
            cd {Folder}/read/data
            sha256sum --check --quiet ../sums
            echo files $(wc -l <../sums) $(ls | wc -l)
            """);
        Assert.Contains($"files {files} {files}", read, StringComparison.Ordinal);
    }

    private async Task ReportAsync(ThirdParty third, string way, string summary)
    {
        // Whatever was on its way when the guest had moved arrives, too.
        await third.AskAsync("true");
        (int longest, int answers) = await third.MarkAsync();
        Assert.InRange(answers, 1, int.MaxValue);
        output.WriteLine($"{way}: {answers} answers, longest time without one {longest} ms, {Figures().Match(summary).Value}\n{summary}");
    }

    [GeneratedRegex(@"of which the guest stood still \d+ ms")]
    private static partial Regex Figures();
}
