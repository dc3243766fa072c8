namespace Cnvm.Linux.Tests;

public sealed unsafe class EventFdTests
{
    [Fact]
    public void A_shared_one_counts_as_any_other()
    {
        using var shared = new EventFd(isShared: true);
        Assert.False(shared.Drain());
        for (int i = 0; i < 300; i++)
        {
            shared.Signal();
        }

        ulong count;
        Assert.Equal(8, Libc.read(shared.Fd, &count, 8));
        Assert.Equal(300UL, count);
    }

    [Fact]
    public void Many_threads_signal_and_none_is_lost()
    {
        using var shared = new EventFd(isShared: true);
        Thread[] threads = [.. Enumerable.Range(0, 8).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                shared.Signal();
            }
        }))];
        Array.ForEach(threads, t => t.Start());
        Array.ForEach(threads, t => t.Join());
        ulong count;
        Assert.Equal(8, Libc.read(shared.Fd, &count, 8));
        Assert.Equal(8000UL, count);
    }

    [Fact]
    public void A_full_counter_that_was_made_to_block_holds_nobody_up()
    {
        using var shared = new EventFd(isShared: true);
        Assert.Equal(0, Libc.fcntl(shared.Fd, Libc.F_SETFL, Libc.fcntl(shared.Fd, Libc.F_GETFL, 0) & ~Libc.O_NONBLOCK));
        ulong full = ulong.MaxValue - 1;
        Assert.Equal(8, Libc.write(shared.Fd, &full, 8));
        Thread thread = new(() =>
        {
            shared.Signal();
            shared.Signal();
        })
        {
            IsBackground = true,
        };
        thread.Start();
        Assert.True(thread.Join(20_000));
        using var epoll = new Epoll();
        epoll.Add(shared.Fd, Libc.EPOLLIN, 1);
        Assert.Equal(1, epoll.Wait(new EpollEvent[1], 0));
    }
}
