using System.Globalization;

namespace Cnvm.Linux;

/// <summary>The controlling side of a new pseudo-terminal in raw mode; people open <see cref="Path"/>.</summary>
public sealed unsafe class PseudoTerminal : IDisposable
{
    private readonly FileDescriptor _controller;
    private readonly FileDescriptor _peer;

    /// <exception cref="LinuxException">The host has no pseudo-terminals left, or no /dev/ptmx.</exception>
    public PseudoTerminal()
    {
        const int O_RDWR = 2;
        const int O_NOCTTY = 0x100;
        const int O_CLOEXEC = 0x80000;
        _controller = new FileDescriptor(LinuxError.Check(Libc.open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), "open /dev/ptmx"));
        try
        {
            int unlock = 0;
            // SAFETY: reads one int on the stack (ioctl_tty(2)).
            _ = LinuxError.Check(Libc.ioctl_tty(Fd, Libc.TIOCSPTLCK, &unlock), "ioctl TIOCSPTLCK");
            // SAFETY: the argument of TIOCGPTPEER is a flag word, not an address. Holding the peer open keeps reads on this side
            // from failing with EIO while nobody has the terminal open.
            _peer = new FileDescriptor(LinuxError.Check(Libc.ioctl_tty(Fd, Libc.TIOCGPTPEER, (void*)(O_RDWR | O_NOCTTY | O_CLOEXEC)), "ioctl TIOCGPTPEER"));
            uint number;
            // SAFETY: fills one int on the stack.
            _ = LinuxError.Check(Libc.ioctl_tty(Fd, Libc.TIOCGPTN, &number), "ioctl TIOCGPTN");
            Path = "/dev/pts/" + number.ToString(CultureInfo.InvariantCulture);
            // The mode outlives this object: it is a property of the terminal, which goes away with it.
            _ = Terminal.EnterRawMode(_peer.Value);
        }
        catch
        {
            _peer?.Dispose();
            _controller.Dispose();
            throw;
        }
    }

    /// <summary>The side to read and write; valid until disposed.</summary>
    public int Fd => _controller.Value;

    /// <summary>The device that a person opens, for example <c>/dev/pts/3</c>.</summary>
    public string Path { get; }

    public void Dispose()
    {
        _peer.Dispose();
        _controller.Dispose();
    }
}
