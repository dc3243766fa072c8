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
}
