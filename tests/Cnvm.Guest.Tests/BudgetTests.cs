using Xunit.Abstractions;

namespace Cnvm.Guest.Tests;

/// <summary>Ceilings that hold on every machine: what the program takes on disk and in memory.</summary>
public abstract class BudgetTests(GuestHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    private const long Mebibyte = 1024 * 1024;

    /// <summary>Ceiling of the resident memory beyond guest RAM.</summary>
    protected abstract long MaxRssKiB { get; }

    [GuestTheory]
    [InlineData("cnvm-vmm", 12)]
    [InlineData("cnvm-vhost-user-blk", 3)]
    [InlineData("cnvm-vhost-user-fs", 3)]
    public void The_programs_are_small(string name, int mebibytes)
    {
        string program = Path.Combine(Path.GetDirectoryName(GuestHostFixture.Vmm)!, name);
        Skip.If(!File.Exists(program), $"{program} is missing: 'make build' makes it");
        long size = new FileInfo(program).Length;
        output.WriteLine($"{size} bytes");
        Assert.InRange(size, 1, mebibytes * Mebibyte);
    }

    /// <summary>One vCPU, disk, network, sockets, balloon and random numbers; the guest has used all of them and waits at its shell.</summary>
    [GuestTheory]
    [InlineData("cloud")]
    [InlineData("microvm")]
    public async Task Memory_beyond_guest_ram_stays_below_its_ceiling(string machine)
    {
        const int MemoryMiB = 512;
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "64M");
        await using NetworkNamespace space = await NetworkNamespace.CreateAsync(Host);
        GuestSetup setup = GuestSetup.Small with
        {
            Machine = machine,
            MemoryMiB = MemoryMiB,
            Disks = [$"path={scratch.Path}/disk,image_type=raw"],
            Net = "tap=tap0,ip=192.168.249.1,mask=255.255.255.0",
            NetworkNamespace = space.Name,
            Flags = "--vsock cid=3,socket=v.sock --balloon size=0",

            // What is measured is a process that has booted one machine.
            Pulses = false,
        };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);
        await guest.AskAsync("ip address add 192.168.249.2/24 dev eth0 && ip link set eth0 up && ping -c 2 -W 60 192.168.249.1");
        await guest.AskAsync("dd if=/dev/zero of=/dev/vda bs=1M count=32 conv=fsync && head -c 64 /dev/hwrng >/dev/null");

        Footprint footprint = await Footprint.OfAsync(Host, guest, MemoryMiB);

        output.WriteLine($"{machine}: {footprint}\n{footprint.Largest}");
        Assert.InRange(footprint.RssKiB, 1024, MaxRssKiB);
        await guest.PowerOffAsync();
    }

    /// <summary>A figure, not a ceiling: the processor time until requests are answered.</summary>
    [GuestFact]
    public async Task Processor_time_to_the_api_socket_is_reported()
    {
        await using GuestVm guest = await GuestVm.StartAsync(Host);
        await guest.GetAsync("vmm.ping");

        string text = (await Host.RunAsync($"awk '{{ print $1 / 1e6 }}' /proc/{guest.ProcessId}/schedstat; cat /proc/{guest.ProcessId}/task/*/schedstat | awk '{{ n += $1 }} END {{ print n / 1e6 }}'")).OrThrow().Output;

        double[] milliseconds = [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(t => double.Parse(t, System.Globalization.CultureInfo.InvariantCulture))];
        output.WriteLine($"{Host.Hypervisor}: main thread {milliseconds[0]:F1} ms, all threads {milliseconds[1]:F1} ms");
        Assert.True(milliseconds[1] > 0);
        await guest.PutAsync("vmm.shutdown");
        await guest.AssertEndAsync();
    }
}
