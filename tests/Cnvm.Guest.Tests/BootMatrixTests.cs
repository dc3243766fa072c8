using System.Globalization;

namespace Cnvm.Guest.Tests;

/// <summary>Real kernels boot to a shell in both machine profiles, with few and many vCPUs, little and much memory.</summary>
public abstract class BootMatrixTests(GuestHostFixture fixture) : GuestTests(fixture)
{
    private static readonly (string Kernel, string Machine, int Cpus, int MemoryMiB)[] Usual =
    [
        ("small", "cloud", 1, 128),
        ("small", "cloud", 8, 5120),
        ("small", "microvm", 1, 128),
        ("small", "microvm", 8, 512),
        ("small", "microvm", 2, 5120),
        ("debian", "cloud", 2, 512),
        ("debian", "cloud", 8, 5120),
        ("debian", "microvm", 2, 512),
    ];

    public static TheoryData<string, string, int, int> Combinations()
    {
        var data = new TheoryData<string, string, int, int>();
        foreach ((string kernel, string machine, int cpus, int memoryMiB) in Soak.IsOn ? All() : Usual)
        {
            data.Add(kernel, machine, cpus, memoryMiB);
        }

        return data;
    }

    [GuestTheory]
    [MemberData(nameof(Combinations))]
    public async Task Boots_to_a_shell_and_powers_off(string kernel, string machine, int cpus, int memoryMiB)
    {
        GuestSetup setup = (kernel == "debian" ? GuestSetup.Debian : GuestSetup.Small) with
        {
            Machine = machine, Cpus = cpus, MemoryMiB = memoryMiB, PulsesEverywhere = true,
        };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);

        await AssertMachineAsync(guest, setup);
        await guest.PowerOffAsync();
    }

    [GuestTheory]
    [InlineData("bzImage-small", "cloud")]
    [InlineData("bzImage-small", "microvm")]
    [InlineData("vmlinuz-debian", "cloud")]
    public async Task Compressed_kernels_boot(string kernel, string machine)
    {
        GuestSetup setup = (kernel == "vmlinuz-debian" ? GuestSetup.Debian with { MemoryMiB = 512 } : GuestSetup.Small) with
        {
            Kernel = kernel, Machine = machine, Flags = "-v",
        };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);

        await AssertMachineAsync(guest, setup);
        await guest.PowerOffAsync();
    }

    /// <summary>Without ACPI the processors and interrupt routes come from the MP table; such a guest cannot turn itself off.</summary>
    [GuestTheory]
    [InlineData("cloud")]
    [InlineData("microvm")]
    public async Task Boots_without_acpi(string machine)
    {
        await using GuestVm guest = await GuestVm.BootAsync(
            Host, GuestSetup.Small with { Machine = machine, Cpus = 2, Cmdline = GuestSetup.Small.Cmdline + " acpi=off" });

        Assert.Equal("2", await guest.AskAsync("nproc"));
        Assert.Equal("0", await guest.AskAsync("ls /sys/firmware/acpi/tables 2>/dev/null | wc -l"));
        Assert.Equal("32", await guest.AskAsync("head -c 32 /dev/hwrng | wc -c"));

        await guest.PutAsync("vmm.shutdown");
        await guest.AssertEndAsync();
    }

    private static IEnumerable<(string Kernel, string Machine, int Cpus, int MemoryMiB)> All() =>
        from kernel in (string[])["small", "debian"]
        from machine in (string[])["cloud", "microvm"]
        from cpus in (int[])[1, 2, 8]
        from memoryMiB in (int[])[128, 512, 5120]
        // Debian's kernel and root do not fit into 128 MiB.
        where kernel == "small" || memoryMiB > 128
        select (kernel, machine, cpus, memoryMiB);

    private static async Task AssertMachineAsync(GuestVm guest, GuestSetup setup)
    {
        Assert.Equal(setup.Cpus.ToString(CultureInfo.InvariantCulture), await guest.AskAsync("nproc"));
        Assert.Equal(setup.IsDebian ? "yes" : "no", await guest.AskAsync("test -e /etc/debian_version && echo yes || echo no"));

        // The kernel keeps its own image, page tables and the descriptors of pages (64 bytes for 4 KiB) to itself.
        long totalKiB = long.Parse(await guest.AskAsync("awk '/^MemTotal:/ { print $2 }' /proc/meminfo"));
        long givenKiB = setup.MemoryMiB * 1024L;
        Assert.InRange(totalKiB, (givenKiB * 96 / 100) - (setup.IsDebian ? 80_000 : 40_000), givenKiB);

        // Network controllers and disks aside, the random number generator is in every machine.
        string pci = await guest.AskAsync("cat /sys/bus/pci/devices/*/vendor 2>/dev/null | grep -c 0x1af4 || true");
        string mmio = await guest.AskAsync("ls /sys/bus/virtio/devices | while read d; do readlink -f /sys/bus/virtio/devices/$d; done | grep -cE '/(LNRO0005|virtio-mmio)' || true");
        if (setup.Machine == "cloud")
        {
            Assert.NotEqual("0", pci);
            Assert.Equal("0", mmio);
        }
        else
        {
            Assert.Equal("0", pci);
            Assert.NotEqual("0", mmio);
        }

        Assert.Equal("32", await guest.AskAsync("head -c 32 /dev/hwrng | wc -c"));
    }
}
