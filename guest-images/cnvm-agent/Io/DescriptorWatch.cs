using Cnvm.Linux;

namespace Cnvm.GuestAgent.Io;

/// <summary>
/// One thread that waits for all descriptors of the agent, so that no call that waits for a container holds a thread. Each descriptor has at
/// most one wait at a time.
/// </summary>
internal sealed class DescriptorWatch
{
    private const int EventsAtOnce = 64;
    private readonly Epoll _epoll;
    private readonly Dictionary<int, TaskCompletionSource<bool>> _waits = [];
    private readonly Lock _lock = new();

    /// <param name="epoll">Is this object's for the rest of the program.</param>
    public DescriptorWatch(Epoll epoll)
    {
        _epoll = epoll;
        new Thread(Run) { IsBackground = true, Name = "descriptors" }.Start();
    }

    /// <summary>Waits for an event of a descriptor (EPOLL flags).</summary>
    /// <returns>False if the descriptor was given up with <see cref="Forget"/>.</returns>
    public Task<bool> WaitAsync(int fd, uint events)
    {
        var wait = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            _waits.Add(fd, wait);
            try
            {
                _epoll.Add(fd, events | Libc.EPOLLONESHOT, (uint)fd);
            }
            catch
            {
                _waits.Remove(fd);
                throw;
            }
        }

        return wait.Task;
    }

    /// <summary>Ends a wait for a descriptor that is about to be closed.</summary>
    public void Forget(int fd)
    {
        lock (_lock)
        {
            if (_waits.Remove(fd, out TaskCompletionSource<bool>? wait))
            {
                _epoll.Remove(fd);
                wait.TrySetResult(false);
            }
        }
    }

    private void Run()
    {
        NativeThread.ShowName();
        var events = new EpollEvent[EventsAtOnce];
        while (true)
        {
            int count = _epoll.Wait(events, -1);
            lock (_lock)
            {
                for (int i = 0; i < count; i++)
                {
                    // An event may have been on its way when its wait was given up and the number used again: the next wait then looks
                    // once too often, which its reader sees as nothing to read.
                    if (_waits.Remove((int)events[i].Token, out TaskCompletionSource<bool>? wait))
                    {
                        _epoll.Remove((int)events[i].Token);
                        wait.TrySetResult(true);
                    }
                }
            }
        }
    }
}
