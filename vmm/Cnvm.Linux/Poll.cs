namespace Cnvm.Linux;

/// <summary>poll(2): for the few places that wait on files of any kind; busy loops use epoll.</summary>
public static unsafe class Poll
{
    /// <summary>Waits for the first event. A signal does not end the wait.</summary>
    /// <param name="timeoutMilliseconds">-1 waits for ever; 0 only looks.</param>
    /// <returns>How many entries have events.</returns>
    /// <exception cref="LinuxException">The kernel is out of memory or an argument is wrong.</exception>
    public static int Wait(Span<PollEntry> entries, int timeoutMilliseconds)
    {
        // SAFETY: the kernel reads and writes exactly the entries of the span, which is pinned meanwhile.
        fixed (PollEntry* p = entries)
        {
            int ready;
            do
            {
                ready = Libc.poll(p, (nuint)entries.Length, timeoutMilliseconds);
            }
            while (ready < 0 && LinuxError.Last == Errno.EINTR);

            return LinuxError.Check(ready, "poll");
        }
    }
}
