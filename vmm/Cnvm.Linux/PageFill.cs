namespace Cnvm.Linux;

/// <summary>
/// A run of pages on its way into a range of a <see cref="Userfaultfd"/>, and what each answer of UFFDIO_COPY and UFFDIO_ZEROPAGE means for it
/// (ioctl_userfaultfd(2)). What is there already stays; a change of the mapping is waited out, for a while; anything else ends it, and the pages
/// that have not come are still missing: whoever gives them may do so again.
/// </summary>
internal ref struct PageFill(string operation, ulong length)
{
    private const ulong PageBytes = 4096;

    // Each gives the processor away: some seconds at the most, where everything is busy.
    private const int MaxTries = 100_000;

    private int _tries;

    /// <summary>Bytes from the beginning that are in their places.</summary>
    public ulong Done { get; private set; }

    public readonly bool IsDone => Done >= length;

    public readonly ulong Left => length - Done;

    /// <summary>Takes an answer; true: the page before <see cref="Done"/> was there already, and who sleeps at it is to be woken.</summary>
    /// <param name="errno">0: all that was left is in its place.</param>
    /// <param name="filled">Bytes that are, as the kernel tells with <see cref="Errno.EAGAIN"/>; no number of bytes if it is negative.</param>
    /// <exception cref="LinuxException">It cannot go on; the message says what to do.</exception>
    public bool Take(int errno, long filled)
    {
        switch (errno)
        {
            case 0:
                Done = length;
                return false;
            case Errno.EAGAIN when filled > 0:
                _tries = 0;
                Done += Math.Min((ulong)filled, Left);
                return false;
            case Errno.EAGAIN when ++_tries < MaxTries:
                Thread.Yield();
                return false;
            case Errno.EEXIST:
                _tries = 0;
                Done += PageBytes;
                return true;
            default:
                throw new LinuxException($"{operation}: {Reason(errno)}", errno);
        }
    }

    private static string Reason(int errno) => errno switch
    {
        Errno.ENOMEM => "this host, or the control group of this process, has no memory for a page of the guest: make room, and it is sent again",
        Errno.EAGAIN => "the mapping of the guest's memory is being changed all the time",
        Errno.ESRCH => "the process whose memory it is has ended",
        Errno.ENOENT => "the page's place is not memory that waits for pages",
        _ => "the page cannot be put in its place",
    };
}
