using Cnvm.Hypervisor;
using Cnvm.Vmm.Vcpus;

namespace Cnvm.Vmm.Tests.Vcpus;

public sealed class VcpuThreadTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>Held back, a vCPU does not run, whatever else is asked of it, and goes on where that has led.</summary>
    [Fact]
    public void A_held_vcpu_waits_and_parks_as_any_other()
    {
        var vcpu = new FakeVcpu();
        using var thread = new VcpuThread(vcpu, null, (_, _) => { });
        thread.Start();
        thread.Run();
        Assert.True(vcpu.Entered.Wait(Patience));
        thread.Hold(true);
        Assert.True(SpinWait.SpinUntil(() => !vcpu.IsInside, Patience));
        vcpu.Entered.Reset();
        thread.RequestPark();
        thread.WaitParked();
        thread.Run();
        Assert.False(vcpu.Entered.Wait(TimeSpan.FromMilliseconds(50)));
        thread.Hold(false);
        Assert.True(vcpu.Entered.Wait(Patience));
        thread.Hold(true);
        thread.RequestPark();
        thread.WaitParked();
        vcpu.Entered.Reset();
        thread.Hold(false);
        Assert.False(vcpu.Entered.Wait(TimeSpan.FromMilliseconds(50)));
    }

    [Fact]
    public void It_starts_parked_and_bound_and_runs_only_when_told()
    {
        var vcpu = new FakeVcpu();
        using var thread = new VcpuThread(vcpu, null, (_, _) => { });
        thread.Start();
        Assert.True(vcpu.IsBound);
        Assert.Equal(0, vcpu.Runs);
        thread.Run();
        Assert.True(vcpu.Entered.Wait(Patience));
    }

    [Fact]
    public void Parked_means_that_no_guest_code_runs()
    {
        var vcpu = new FakeVcpu();
        using var thread = new VcpuThread(vcpu, null, (_, _) => { });
        thread.Start();
        for (int i = 0; i < 200; i++)
        {
            thread.Run();
            thread.RequestPark();
            thread.WaitParked();
            Assert.False(vcpu.IsInside);
        }
    }

    [Fact]
    public void A_stop_is_told_once_and_parks()
    {
        var vcpu = new FakeVcpu { NextStop = new VcpuStop(VcpuStopReason.Shutdown) };
        var stops = new List<VcpuStopReason>();
        using var told = new ManualResetEventSlim(false);
        using var thread = new VcpuThread(vcpu, null, (_, stop) =>
        {
            stops.Add(stop.Reason);
            told.Set();
        });
        thread.Start();
        thread.Run();
        Assert.True(told.Wait(Patience));
        thread.WaitParked();
        Assert.Equal([VcpuStopReason.Shutdown], stops);
        Assert.Equal(1, vcpu.Runs);
    }

    [Fact]
    public void A_vcpu_that_cannot_be_bound_is_a_failure_with_its_name()
    {
        var vcpu = new FakeVcpu(3) { BindFailure = new HypervisorException("no room") };
        var thread = new VcpuThread(vcpu, null, (_, _) => { });
        HypervisorException failure = Assert.Throws<HypervisorException>(thread.Start);
        Assert.Contains("vcpu3: no room", failure.Message, StringComparison.Ordinal);
        thread.Dispose();
        Assert.True(vcpu.IsDisposed);
    }

    [Fact]
    public void Host_cpus_that_do_not_exist_are_refused()
    {
        var vcpu = new FakeVcpu(1);
        var thread = new VcpuThread(vcpu, [8191], (_, _) => { });
        Assert.Contains("vcpu1", Assert.Throws<HypervisorException>(thread.Start).Message, StringComparison.Ordinal);
        thread.Dispose();
    }

    [Fact]
    public void Disposing_ends_a_running_vcpu()
    {
        var vcpu = new FakeVcpu();
        var thread = new VcpuThread(vcpu, null, (_, _) => { });
        thread.Start();
        thread.Run();
        Assert.True(vcpu.Entered.Wait(Patience));
        thread.Dispose();
        Assert.True(vcpu.IsDisposed);
        Assert.False(vcpu.IsInside);
    }

    [Fact]
    public void A_set_parks_all_of_its_vcpus()
    {
        using var set = new VcpuSet();
        FakeVcpu[] vcpus = [.. Enumerable.Range(0, 8).Select(i => new FakeVcpu(i))];
        foreach (FakeVcpu vcpu in vcpus)
        {
            set.Add(vcpu, null, (_, _) => { });
        }

        for (int i = 0; i < 20; i++)
        {
            set.Run();
            set.Park();
            Assert.DoesNotContain(vcpus, v => v.IsInside);
        }
    }
}
