using Cnvm.Linux;

namespace Cnvm.Hypervisor.Soft.Platform;

/// <summary>Lets one thread sleep until another wakes it or a deadline passes.</summary>
internal sealed class Sleeper : IDisposable
{
    private readonly EventFd _event = new();
    private int _sleeping;

    /// <summary>Declares that the thread is about to sleep; look for work again between this and <see cref="Sleep"/>.</summary>
    public void Prepare() => Interlocked.Exchange(ref _sleeping, 1);

    public void Cancel() => Volatile.Write(ref _sleeping, 0);

    /// <param name="nanoseconds">Longest sleep; negative: no limit.</param>
    public void Sleep(long nanoseconds)
    {
        TimedPoll.WaitReadable(_event.Fd, nanoseconds);
        Volatile.Write(ref _sleeping, 0);
        _event.Drain();
    }

    /// <summary>Wakes the sleeper; cheap when it does not sleep. Any thread.</summary>
    public void Wake()
    {
        if (Interlocked.Exchange(ref _sleeping, 0) != 0)
        {
            _event.Signal();
        }
    }

    public void Dispose() => _event.Dispose();
}
