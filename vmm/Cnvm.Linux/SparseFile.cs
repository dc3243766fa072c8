using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Where a file has data and where holes (lseek(2), SEEK_DATA and SEEK_HOLE).</summary>
[Abi("unistd.h")]
public static partial class SparseFile
{
    private const int SEEK_DATA = 3;
    private const int SEEK_HOLE = 4;

    /// <summary>
    /// The first stretch of data at or after <paramref name="offset"/> and before <paramref name="end"/>; false when all of it is a hole.
    /// On file systems without holes everything is data. Moves the descriptor's position.
    /// </summary>
    /// <exception cref="LinuxException">The file cannot be searched.</exception>
    public static bool TryFindData(SafeHandle file, long offset, long end, out long start, out long length)
    {
        ArgumentNullException.ThrowIfNull(file);
        return TryFindData((int)file.DangerousGetHandle(), offset, end, out start, out length);
    }

    internal static bool TryFindData(int fd, long offset, long end, out long start, out long length)
    {
        start = lseek(fd, offset, SEEK_DATA);
        length = 0;
        if (start < 0)
        {
            return LinuxError.Last == Errno.ENXIO ? false : throw new LinuxException("lseek SEEK_DATA", LinuxError.Last);
        }

        if (start >= end)
        {
            return false;
        }

        long hole = lseek(fd, start, SEEK_HOLE);
        if (hole < 0)
        {
            throw new LinuxException("lseek SEEK_HOLE", LinuxError.Last);
        }

        length = Math.Min(hole, end) - start;
        return true;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial long lseek(int fd, long offset, int whence);
}
