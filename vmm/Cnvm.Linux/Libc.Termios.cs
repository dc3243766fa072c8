using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

// termios.h, stdlib.h (pseudo-terminals), asm-generic/ioctls.h
[Abi("termios.h sys/ioctl.h")]
public static unsafe partial class Libc
{
    internal const int TCSANOW = 0;
    internal const nuint TIOCGWINSZ = 0x5413;
    internal const nuint TIOCSWINSZ = 0x5414;
    internal const nuint TIOCGPTPEER = 0x5441;
    internal const nuint TIOCSPTLCK = 0x40045431;
    internal const nuint TIOCGPTN = 0x80045430;

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int isatty(int fd);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int tcgetattr(int fd, termios* attributes);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int tcsetattr(int fd, int actions, termios* attributes);

    [LibraryImport(Library)]
    internal static partial void cfmakeraw(termios* attributes);

    [LibraryImport(Library, EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int ioctl_tty(int fd, nuint request, void* argument);

    /// <summary>struct termios of the C library.</summary>
    [Abi("termios.h", "struct termios")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct termios
    {
        public uint c_iflag;
        public uint c_oflag;
        public uint c_cflag;
        public uint c_lflag;
        public byte c_line;
        public fixed byte c_cc[32];
        public uint c_ispeed;
        public uint c_ospeed;
    }

    /// <summary>struct winsize.</summary>
    [Abi("sys/ioctl.h", "struct winsize")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct winsize
    {
        public ushort ws_row;
        public ushort ws_col;
        public ushort ws_xpixel;
        public ushort ws_ypixel;
    }
}
