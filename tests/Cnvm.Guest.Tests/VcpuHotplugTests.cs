namespace Cnvm.Guest.Tests;

/// <summary>vCPUs come and go while the guest runs; Linux switches them on by hand and gives them up when it is asked to.</summary>
public abstract class VcpuHotplugTests(GuestHostFixture fixture) : GuestTests(fixture)
{
    private const string Cpus = "/sys/devices/system/cpu";

    [GuestFact]
    public async Task VCPUs_come_and_go_and_stay_over_snapshots_and_reboots()
    {
        await using GuestVm guest = await GuestVm.BootAsync(Host, GuestSetup.Small with { CpuKeys = ",max=4", Pulses = false });
        Assert.Equal("0-3 0", await guest.AskAsync($"echo $(cat {Cpus}/possible {Cpus}/online)"));
        Assert.Contains("desired_vcpus", await ResizeAsync(guest, 5, status: 400), StringComparison.Ordinal);

        await ResizeAsync(guest, 3);
        await SwitchOnAsync(guest, 1, 2);
        await AssertWorkAsync(guest, 3);
        Assert.Equal(["vcpu0", "vcpu1", "vcpu2"], await ThreadsAsync(guest));
        await guest.PulseAsync();
        await AssertWorkAsync(guest, 3);

        // Asked while nothing runs, it cannot have given anything up yet.
        await guest.PutAsync("vm.pause");
        await ResizeAsync(guest, 1);
        Assert.Contains("desired_vcpus", await ResizeAsync(guest, 2, status: 429), StringComparison.Ordinal);
        await guest.PutAsync("vm.resume");
        await GoneAsync(guest, times: 2);
        Assert.Equal("0", await guest.AskAsync($"cat {Cpus}/online"));
        Assert.Equal(["vcpu0"], await ThreadsAsync(guest));

        // They come back, with one that is new.
        await ResizeAsync(guest, 4);
        await SwitchOnAsync(guest, 1, 2, 3);
        await AssertWorkAsync(guest, 4);

        // A machine that begins anew has all, and they may go.
        await guest.TypeAsync("reboot");
        await guest.WaitForShellAsync();
        await AssertWorkAsync(guest, 4);
        await ResizeAsync(guest, 2);
        await GoneAsync(guest, times: 4);
        await AssertWorkAsync(guest, 2);
        await guest.PowerOffAsync();
    }

    protected static Task<string> ResizeAsync(GuestVm guest, int vcpus, int status = 204)
        => guest.PutAsync("vm.resize", $$"""{"desired_vcpus":{{vcpus}}}""", status);

    protected static async Task SwitchOnAsync(GuestVm guest, params int[] vcpus)
    {
        foreach (int i in vcpus)
        {
            await guest.AskAsync($"for i in $(seq 600); do [ -e {Cpus}/cpu{i}/online ] && break; usleep 100000; done; echo 1 >{Cpus}/cpu{i}/online");
        }
    }

    /// <summary>A program runs on each, where it was told to, and the kernel has nothing to say against their clocks.</summary>
    protected static async Task AssertWorkAsync(GuestVm guest, int vcpus)
    {
        Assert.Equal(vcpus == 1 ? "0" : $"0-{vcpus - 1}", await guest.AskAsync($"cat {Cpus}/online"));
        string work = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); done; read -r s </proc/self/stat; set -- ${s##*) }; echo ${37}";
        string ran = await guest.AskAsync($"for c in $(seq 0 {vcpus - 1}); do taskset $((1<<c)) sh -c '{work}' >/tmp/ran$c & done; wait; for c in $(seq 0 {vcpus - 1}); do cat /tmp/ran$c; done");
        Assert.Equal(Enumerable.Range(0, vcpus).Select(i => $"{i}"), ran.Split('\n').Select(l => l.Trim()));
        Assert.Equal("", await guest.AskAsync("dmesg | grep -iE 'TSC warp|failed to be|not responding|eject' || true"));
    }

    protected static async Task<string[]> ThreadsAsync(GuestHost host, GuestVm guest) =>
        [.. (await host.RunAsync($"cat /proc/{guest.ProcessId}/task/*/comm | grep -E '^vcpu[0-9]+$' | sort")).OrThrow().Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)];

    private Task<string[]> ThreadsAsync(GuestVm guest) => ThreadsAsync(Host, guest);

    protected static Task GoneAsync(GuestVm guest, int times) => guest.WaitForEventAsync("vm", "vcpu-removed", times);
}
