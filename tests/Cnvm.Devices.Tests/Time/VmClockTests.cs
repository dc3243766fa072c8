using System.Diagnostics;
using Cnvm.Devices.Time;

namespace Cnvm.Devices.Tests.Time;

public sealed class VmClockTests
{
    private const ulong Millisecond = 1_000_000;

    [Fact]
    public void Time_stands_still_until_started_and_after_stopped()
    {
        using VmClock clock = new();
        Assert.Equal(0ul, clock.Nanoseconds);
        clock.Restore(5000);
        Spin(2);
        Assert.Equal(5000ul, clock.Nanoseconds);
        clock.Start();
        Assert.Throws<InvalidOperationException>(() => clock.Restore(1));
        Spin(5);
        clock.Stop();
        ulong stopped = clock.Nanoseconds;
        Assert.True(stopped >= 5000 + (5 * Millisecond));
        Spin(2);
        Assert.Equal(stopped, clock.Nanoseconds);
    }

    [Fact]
    public void Timers_fire_once_at_their_deadline()
    {
        using VmClock clock = new();
        using CountdownEvent fired = new(1);
        ulong at = 0;
        using IVmTimer timer = clock.CreateTimer(() =>
        {
            at = clock.Nanoseconds;
            fired.Signal();
        });
        timer.Arm(20 * Millisecond);
        clock.Start();
        Assert.True(fired.Wait(TimeSpan.FromSeconds(10)));

        // Never early; how late depends on who else uses the machine, so only gross lateness fails.
        Assert.InRange(at, 20 * Millisecond, 2000 * Millisecond);
    }

    [Fact]
    public void Timers_fire_in_order_and_can_be_disarmed_and_rearmed()
    {
        using VmClock clock = new();
        using ManualResetEventSlim done = new();
        List<string> order = [];
        using IVmTimer late = clock.CreateTimer(() => order.Add("late"));
        using IVmTimer early = clock.CreateTimer(() => order.Add("early"));
        using IVmTimer never = clock.CreateTimer(() => order.Add("never"));
        using IVmTimer last = clock.CreateTimer(done.Set);
        never.Arm(1);
        late.Arm(1);
        late.Arm(20 * Millisecond);
        early.Arm(10 * Millisecond);
        last.Arm(30 * Millisecond);
        never.Disarm();
        clock.Start();
        Assert.True(done.Wait(TimeSpan.FromSeconds(10)));
        Assert.Equal(["early", "late"], order);
    }

    [Fact]
    public void A_callback_may_arm_its_own_timer()
    {
        using VmClock clock = new();
        using ManualResetEventSlim done = new();
        int count = 0;
        IVmTimer? timer = null;
        timer = clock.CreateTimer(() =>
        {
            if (++count == 5)
            {
                done.Set();
            }
            else
            {
                timer!.Arm(clock.Nanoseconds + Millisecond);
            }
        });
        timer.Arm(0);
        clock.Start();
        Assert.True(done.Wait(TimeSpan.FromSeconds(10)));
        Assert.Equal(5, count);
    }

    [Fact]
    public void No_callback_runs_once_stop_has_returned()
    {
        using VmClock clock = new();
        using ManualResetEventSlim entered = new();
        bool isRunning = false;
        using IVmTimer timer = clock.CreateTimer(() =>
        {
            isRunning = true;
            entered.Set();
            Spin(20);
            isRunning = false;
        });
        timer.Arm(0);
        clock.Start();
        Assert.True(entered.Wait(TimeSpan.FromSeconds(10)));
        clock.Stop();
        Assert.False(isRunning);
        timer.Arm(0);
        entered.Reset();
        Assert.False(entered.Wait(TimeSpan.FromMilliseconds(30)));
        clock.Start();
        Assert.True(entered.Wait(TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public void Reading_the_time_allocates_nothing()
    {
        using VmClock clock = new();
        clock.Start();
        ulong sum = clock.Nanoseconds;
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            sum += clock.Nanoseconds;
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.NotEqual(0ul, sum);
    }

    private static void Spin(int milliseconds)
    {
        long start = Stopwatch.GetTimestamp();
        SpinWait.SpinUntil(() => Stopwatch.GetElapsedTime(start).TotalMilliseconds >= milliseconds + 0.1);
    }
}
