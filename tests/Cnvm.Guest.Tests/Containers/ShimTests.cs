using System.Globalization;
using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Containers;

/// <summary>Containers in virtual machines by containerd-shim-cnvm-v2: the list that runc passes, and what only a machine has.</summary>
public abstract class ShimTests(GuestHostFixture fixture, ITestOutputHelper output) : ContainerTests(fixture, output)
{
    private const int MaxShimKiB = 12 * 1024;

    protected override string? Runtime
    {
        get
        {
            string shim = Environment.GetEnvironmentVariable("CNVM_SHIM")
                ?? Path.Combine(Path.GetDirectoryName(GuestHostFixture.Vmm)!, "containerd-shim-cnvm-v2");
            Skip.If(!File.Exists(shim), $"{shim} is missing: 'make build' makes it");
            string initramfs = Path.Combine(Repository.Images, "sandbox-initramfs.cpio");
            Skip.If(!File.Exists(initramfs), $"{initramfs} is missing: 'make images' makes it");
            return shim;
        }
    }

    [GuestFact]
    public async Task A_container_is_a_machine_below_its_control_group_and_the_shim_is_small()
    {
        await using Containerd containerd = await StartAsync();
        await StartCountingAsync(containerd, "machine");

        string kernel = await containerd.AskAsync("machine", "uname -r");
        Assert.Contains("-cnvm", kernel, StringComparison.Ordinal);
        Assert.NotEqual(await containerd.RunAsync("uname -r"), kernel);
        Assert.Equal("1", await containerd.RunAsync("pgrep --count --exact cnvm-vmm"));
        Assert.Contains($"/{containerd.Name}/", await containerd.RunAsync("cat /proc/$(pgrep --exact cnvm-vmm)/cgroup"), StringComparison.Ordinal);
        // ctr's specifications forbid all devices but some, and let nodes be made.
        Assert.Contains(
            "Operation not permitted", await containerd.AskAsync("machine", "mknod /dev/strange c 240 0 && cat /dev/strange 2>&1; true"), StringComparison.Ordinal);
        string shim = await containerd.RunAsync("awk '/^VmRSS/ { print $2 }' /proc/$(pgrep --full 'containerd-shim-cnvm-v2.* machine( |$)')/status");
        Output.WriteLine($"shim: {shim} KiB resident");
        Assert.InRange(int.Parse(shim, CultureInfo.InvariantCulture), 1024, MaxShimKiB);
        Assert.Equal(137, await containerd.EndAsync("machine"));
        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task A_machine_that_is_killed_takes_its_container_and_no_other()
    {
        await using Containerd containerd = await StartAsync();
        await StartCountingAsync(containerd, "spared");
        string spared = await containerd.RunAsync("pgrep --exact cnvm-vmm");
        await StartCountingAsync(containerd, "killed");
        await using HostProcess exec = await containerd.StartAsync(containerd.Ctr("task exec --exec-id sleeper killed /bin/sh -c 'echo sleeps; exec sleep 1000'"));
        await exec.WaitForAsync("sleeps", GuestVm.Patience);

        await containerd.RunAsync($"kill -KILL $(pgrep --exact cnvm-vmm | grep -vx {spared})");

        await containerd.WaitForStatusAsync("killed", "STOPPED");
        Assert.NotEqual(0, await exec.WaitForExitAsync(GuestVm.Patience));
        Assert.Equal(137, await containerd.RemoveAsync("killed"));
        await GoesOnAsync(containerd, "spared");
        CommandResult again = await containerd.RunContainerAsync("killed", "exit 6");
        Assert.True(again.ExitCode == 6, $"{again}\n{await containerd.LogAsync()}");
        Assert.Equal(137, await containerd.EndAsync("spared"));
        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task A_machine_goes_on_from_a_template_that_the_first_one_makes()
    {
        await using Containerd containerd = await StartAsync();
        string directory = containerd.Directory;
        string options = $"--runtime-config-path {directory}/template.toml";
        await containerd.RunAsync(
            $"cp {Shell.Quote(Path.Combine(Repository.Images, "vmlinux-small"))} {directory}/kernel; printf '[sandbox]\\nkernel = \"%s\"\\ntemplates = \"%s\"\\n' {directory}/kernel {directory}/templates >{directory}/template.toml");
        CommandResult first = await containerd.RunContainerAsync("first", "echo one; exit 3", options);
        Assert.True(first is { ExitCode: 3, Output: "one\n" }, $"{first}\n{await containerd.LogAsync()}");

        // A file that looks like the kernel, and would not boot.
        await containerd.RunAsync($"cd {directory}; touch --reference kernel time; size=$(stat -c %s kernel); truncate -s 0 kernel; truncate -s $size kernel; touch --reference time kernel");
        CommandResult second = await containerd.RunContainerAsync("second", "echo two; exit 4", options);
        Assert.True(second is { ExitCode: 4, Output: "two\n" }, $"{second}\n{await containerd.LogAsync()}");
        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task A_container_goes_on_from_a_checkpoint()
    {
        await using Containerd containerd = await StartAsync();
        await StartCountingAsync(containerd, "saved");
        await containerd.AskAsync("saved", "echo kept >/root/kept");
        string boot = await containerd.AskAsync("saved", "cat /proc/sys/kernel/random/boot_id");

        await containerd.RunAsync(containerd.Ctr("container checkpoint --rw --image --task saved local/checkpoint:latest"));
        await GoesOnAsync(containerd, "saved");
        Assert.Equal(137, await containerd.EndAsync("saved"));

        // It goes on where it was, and does not begin again. (Without a terminal ctr does not wait for what it has restored.)
        await containerd.RunAsync(containerd.Ctr("container restore --rw --live again local/checkpoint:latest"));
        await containerd.WaitForStatusAsync("again", "RUNNING");
        Assert.Equal("kept", await containerd.AskAsync("again", "cat /root/kept"));
        Assert.Equal(boot, await containerd.AskAsync("again", "cat /proc/sys/kernel/random/boot_id"));
        Assert.Equal(9, await containerd.EndAsync("again", "SIGTERM"));
        await containerd.AssertNothingIsLeftAsync();
    }

    private protected override async Task AssertPodAsync(Containerd containerd)
    {
        Assert.Equal("1", await containerd.RunAsync("pgrep --count --exact cnvm-vmm"));
        Assert.Equal(
            await containerd.AskAsync("first", "cat /proc/sys/kernel/random/boot_id"), await containerd.AskAsync("second", "cat /proc/sys/kernel/random/boot_id"));
    }
}
