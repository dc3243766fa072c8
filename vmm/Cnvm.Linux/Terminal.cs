namespace Cnvm.Linux;

/// <summary>A terminal's mode and size. Disposing a raw mode puts the earlier mode back.</summary>
public static unsafe class Terminal
{
    /// <summary>True when the descriptor is a terminal.</summary>
    public static bool IsTerminal(int fd) => Libc.isatty(fd) == 1;

    /// <summary>Puts the terminal into raw mode: no echo, no line editing, no signals from keys, no output processing.</summary>
    /// <returns>Dispose it to restore the mode that was set before.</returns>
    /// <exception cref="LinuxException">The descriptor is no terminal.</exception>
    public static IDisposable EnterRawMode(int fd)
    {
        Libc.termios saved;
        // SAFETY: both calls fill or read one termios on the stack.
        _ = LinuxError.Check(Libc.tcgetattr(fd, &saved), "tcgetattr");
        Libc.termios raw = saved;
        Libc.cfmakeraw(&raw);
        _ = LinuxError.Check(Libc.tcsetattr(fd, Libc.TCSANOW, &raw), "tcsetattr");
        return new SavedMode(fd, saved);
    }

    /// <summary>Columns and rows of the terminal, or false when the descriptor is no terminal.</summary>
    public static bool TryGetSize(int fd, out ushort columns, out ushort rows)
    {
        Libc.winsize size;
        // SAFETY: the ioctl fills one winsize on the stack.
        bool ok = Libc.ioctl_tty(fd, Libc.TIOCGWINSZ, &size) == 0;
        (columns, rows) = ok ? (size.ws_col, size.ws_row) : ((ushort)0, (ushort)0);
        return ok;
    }

    /// <summary>Tells a terminal's size to whoever asks on its other end; what is no terminal stays as it is.</summary>
    public static void SetSize(int fd, ushort columns, ushort rows)
    {
        var size = new Libc.winsize { ws_col = columns, ws_row = rows };
        // SAFETY: the ioctl reads one winsize on the stack.
        _ = Libc.ioctl_tty(fd, Libc.TIOCSWINSZ, &size);
    }

    private sealed class SavedMode(int fd, Libc.termios mode) : IDisposable
    {
        private bool _restored;

        public void Dispose()
        {
            if (_restored)
            {
                return;
            }

            _restored = true;
            Libc.termios saved = mode;
            // SAFETY: reads one termios on the stack. A terminal that has gone away needs no restoring.
            _ = Libc.tcsetattr(fd, Libc.TCSANOW, &saved);
        }
    }
}
