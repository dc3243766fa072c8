namespace Cnvm.Linux.Tests;

public sealed class EpollTests
{
    [Fact]
    public void ReadyDescriptorComesWithItsToken()
    {
        using var epoll = new Epoll();
        using var first = new EventFd();
        using var second = new EventFd();
        epoll.Add(first.Fd, Libc.EPOLLIN, 0x1_0000_0001);
        epoll.Add(second.Fd, Libc.EPOLLIN, 2);
        var events = new EpollEvent[4];
        Assert.Equal(0, epoll.Wait(events, 0));
        first.Signal();
        Assert.Equal(1, epoll.Wait(events, 10_000));
        Assert.Equal(0x1_0000_0001UL, events[0].Token);
        Assert.Equal(Libc.EPOLLIN, events[0].Events);
        second.Signal();
        Assert.Equal(2, epoll.Wait(events, 10_000));
        Assert.True(first.Drain());
        epoll.Remove(second.Fd);
        Assert.Equal(0, epoll.Wait(events, 0));
    }

    [Fact]
    public void WaitAllocatesNothing()
    {
        using var epoll = new Epoll();
        using var ready = new EventFd();
        epoll.Add(ready.Fd, Libc.EPOLLIN, 1);
        ready.Signal();
        var events = new EpollEvent[4];
        epoll.Wait(events, 0);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            epoll.Wait(events, 0);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void BadDescriptorIsRefused()
    {
        using var epoll = new Epoll();
        Assert.Equal(Errno.EBADF, Assert.Throws<LinuxException>(() => epoll.Add(-1, Libc.EPOLLIN, 1)).Errno);
    }
}
