namespace Cnvm.Vmm.Tests;

public sealed class VmmThreadTests
{
    [Fact]
    public void Work_runs_in_order_on_one_thread()
    {
        using var thread = new VmmThread();
        var order = new List<int>();
        var threads = new HashSet<int>();
        for (int i = 0; i < 100; i++)
        {
            int n = i;
            thread.Post(() =>
            {
                order.Add(n);
                threads.Add(Environment.CurrentManagedThreadId);
            });
        }

        thread.Invoke(() => order.Add(100));
        Assert.Equal(Enumerable.Range(0, 101), order);
        Assert.Single(threads);
        Assert.DoesNotContain(Environment.CurrentManagedThreadId, threads);
    }

    [Fact]
    public void A_failure_comes_back_to_who_waits_and_the_thread_goes_on()
    {
        using var thread = new VmmThread();
        Assert.Equal("no", Assert.Throws<VmmException>(() => thread.Invoke(() => throw new VmmException(VmmErrorKind.Busy, "no"))).Message);
        bool ran = false;
        thread.Invoke(() => ran = true);
        Assert.True(ran);
    }

    [Fact]
    public void Disposing_finishes_what_is_queued_and_takes_nothing_more()
    {
        var thread = new VmmThread();
        int done = 0;
        for (int i = 0; i < 10; i++)
        {
            thread.Post(() => done++);
        }

        thread.Dispose();
        thread.Post(() => done = -1);
        Assert.Equal(10, done);
    }

    [Fact]
    public void What_can_wait_comes_after_all_that_is_asked_for()
    {
        using var thread = new VmmThread();
        using var all = new ManualResetEventSlim();
        using var ran = new ManualResetEventSlim();
        var order = new List<string>();
        thread.Post(all.Wait);
        thread.PostWhenQuiet(() =>
        {
            order.Add("later");
            ran.Set();
        });
        for (int i = 0; i < 20; i++)
        {
            thread.Post(() => order.Add("asked"));
        }

        all.Set();
        Assert.True(ran.Wait(TimeSpan.FromSeconds(30)));
        thread.Invoke(() => order.Add("after"));
        Assert.Equal([.. Enumerable.Repeat("asked", 20), "later", "after"], order);
    }

    [Fact]
    public void What_can_wait_runs_once_however_often_it_is_asked_for()
    {
        using var thread = new VmmThread();
        using var all = new ManualResetEventSlim();
        using var ran = new ManualResetEventSlim();
        int runs = 0;
        Action count = () => runs++;
        thread.Post(all.Wait);
        thread.PostWhenQuiet(count);
        thread.PostWhenQuiet(count);
        thread.PostWhenQuiet(ran.Set);
        all.Set();
        Assert.True(ran.Wait(TimeSpan.FromSeconds(30)));
        Assert.Equal(1, runs);
    }

    [Fact]
    public void Disposing_does_not_wait_for_a_quiet_time_and_takes_nothing_more()
    {
        var thread = new VmmThread();
        bool ran = false;
        for (int i = 0; i < 1000; i++)
        {
            // 200 ms for each.
            object other = new();
            thread.PostWhenQuiet(() => GC.KeepAlive(other));
        }

        thread.Dispose();
        thread.PostWhenQuiet(() => ran = true);
        Assert.False(ran);
    }
}
