using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// File system calls relative to descriptors, for servers of other people's requests: names are null-terminated bytes, nothing is
/// allocated, and every method gives its result or minus the error number. EINTR is retried.
/// </summary>
[Abi("fcntl.h sys/stat.h sys/xattr.h dirent.h linux/magic.h")]
public static unsafe partial class FileCalls
{
    public const int O_ACCMODE = 3;
    public const int O_APPEND = 0x400;
    public const int O_DIRECTORY = 0x10000;
    public const int O_NOFOLLOW = 0x20000;
    public const int O_PATH = 0x200000;
    public const long HUGETLBFS_MAGIC = 0x958458f6;
    public const int O_TMPFILE = 0x410000;

    public const int AT_FDCWD = -100;
    public const int AT_SYMLINK_NOFOLLOW = 0x100;
    public const int AT_REMOVEDIR = 0x200;
    public const int AT_SYMLINK_FOLLOW = 0x400;
    public const int AT_EMPTY_PATH = 0x1000;

    public const uint S_IFMT = 0xf000;
    public const uint S_IFIFO = 0x1000;
    public const uint S_IFCHR = 0x2000;
    public const uint S_IFDIR = 0x4000;
    public const uint S_IFBLK = 0x6000;
    public const uint S_IFREG = 0x8000;
    public const uint S_IFLNK = 0xa000;
    public const uint S_IFSOCK = 0xc000;

    public const long UTIME_NOW = (1L << 30) - 1;
    public const long UTIME_OMIT = (1L << 30) - 2;

    /// <summary>An empty name, for calls that take a descriptor alone.</summary>
    private static ReadOnlySpan<byte> Empty => "\0"u8;

    /// <returns>A descriptor, which the caller closes.</returns>
    public static int OpenAt(int directory, byte* name, int flags, uint mode)
    {
        int result;
        do
        {
            result = Result(openat(directory, name, flags, mode));
        }
        while (result == -Errno.EINTR);

        return result;
    }

    public static void Close(int fd) => _ = Libc.close(fd);

    public static int StatAt(int directory, byte* name, stat* status) => Result(fstatat(directory, name, status, AT_SYMLINK_NOFOLLOW));

    /// <summary>Of the file that a descriptor names, which may be one with O_PATH.</summary>
    public static int Stat(int fd, stat* status) => Result(fstat(fd, status));

    public static int MakeDirectoryAt(int directory, byte* name, uint mode) => Result(mkdirat(directory, name, mode));

    /// <summary>A device's number as the kernel's calls take it: twelve bits of major between the halves of minor.</summary>
    public static ulong DeviceNumber(uint major, uint minor) =>
        (minor & 0xff) | ((ulong)(major & 0xfff) << 8) | ((ulong)(minor & ~0xffu) << 12) | ((ulong)(major & ~0xfffu) << 32);

    public static int MakeNodeAt(int directory, byte* name, uint mode, ulong device) => Result(mknodat(directory, name, mode, device));

    public static int MakeSymbolicLinkAt(byte* target, int directory, byte* name) => Result(symlinkat(target, directory, name));

    /// <param name="from">A name in <paramref name="fromDirectory"/>; a link there is followed.</param>
    public static int LinkAt(int fromDirectory, byte* from, int toDirectory, byte* to) =>
        Result(linkat(fromDirectory, from, toDirectory, to, AT_SYMLINK_FOLLOW));

    public static int UnlinkAt(int directory, byte* name, int flags) => Result(unlinkat(directory, name, flags));

    public static int RenameAt(int fromDirectory, byte* from, int toDirectory, byte* to, uint flags) =>
        Result(renameat2(fromDirectory, from, toDirectory, to, flags));

    /// <returns>Bytes of the target, without a null byte; <paramref name="size"/> when it may have been cut off.</returns>
    public static int ReadLink(int fd, byte* buffer, int size)
    {
        fixed (byte* empty = Empty)
        {
            return Result(readlinkat(fd, empty, buffer, (nuint)size));
        }
    }

    /// <inheritdoc cref="ReadLink"/>
    public static int ReadLinkAt(int directory, byte* name, byte* buffer, int size) => Result(readlinkat(directory, name, buffer, (nuint)size));

    public static int ChangeModeAt(int directory, byte* name, uint mode) => Result(fchmodat(directory, name, mode, 0));

    public static int ChangeOwner(int fd, uint user, uint group)
    {
        fixed (byte* empty = Empty)
        {
            return Result(fchownat(fd, empty, user, group, AT_EMPTY_PATH));
        }
    }

    /// <param name="times">Access, then modification; nanoseconds may be <see cref="UTIME_NOW"/> or <see cref="UTIME_OMIT"/>.</param>
    public static int ChangeTimes(int fd, timespec* times)
    {
        fixed (byte* empty = Empty)
        {
            return Result(utimensat(fd, empty, times, AT_EMPTY_PATH));
        }
    }

    public static int Truncate(int fd, long length) => Result(Libc.ftruncate(fd, length));

    public static int FileSystemStatus(int fd, statfs* status) => Result(fstatfs(fd, status));

    /// <summary>linux_dirent64 records (getdents(2)); 0 at the end.</summary>
    public static int ReadDirectory(int fd, byte* buffer, int size) => Result(getdents64(fd, buffer, (nuint)size));

    public static long Seek(int fd, long offset, int whence) => Result(lseek(fd, offset, whence));

    public static long Read(int fd, IoVec* vectors, int count, long offset)
    {
        long result;
        do
        {
            result = Result(preadv(fd, vectors, count, offset));
        }
        while (result == -Errno.EINTR);

        return result;
    }

    public static long Write(int fd, IoVec* vectors, int count, long offset)
    {
        long result;
        do
        {
            result = Result(pwritev(fd, vectors, count, offset));
        }
        while (result == -Errno.EINTR);

        return result;
    }

    public static int Sync(int fd, bool dataOnly) => Result(dataOnly ? fdatasync(fd) : fsync(fd));

    public static int SyncFileSystem(int fd) => Result(syncfs(fd));

    public static int Allocate(int fd, int mode, long offset, long length)
    {
        int result;
        do
        {
            result = Result(fallocate(fd, mode, offset, length));
        }
        while (result == -Errno.EINTR);

        return result;
    }

    public static long CopyRange(int from, long fromOffset, int to, long toOffset, nuint length) =>
        Result(copy_file_range(from, &fromOffset, to, &toOffset, length, 0));

    // The extended attributes of a descriptor with O_PATH are reached through its entry in /proc/self/fd only.
    public static int SetAttribute(byte* path, byte* name, byte* value, int size, int flags) =>
        Result(setxattr(path, name, value, (nuint)size, flags));

    public static int GetAttribute(byte* path, byte* name, byte* value, int size) => (int)Result(getxattr(path, name, value, (nuint)size));

    public static int ListAttributes(byte* path, byte* list, int size) => (int)Result(listxattr(path, list, (nuint)size));

    public static int RemoveAttribute(byte* path, byte* name) => Result(removexattr(path, name));

    private static int Result(int result) => result < 0 ? -LinuxError.Last : result;

    private static int Result(nint result) => result < 0 ? -LinuxError.Last : (int)result;

    private static long Result(long result) => result < 0 ? -LinuxError.Last : result;

    [LibraryImport("libc", SetLastError = true)]
    private static partial int openat(int directory, byte* name, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fstatat(int directory, byte* name, stat* status, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fstat(int fd, stat* status);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int mkdirat(int directory, byte* name, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int mknodat(int directory, byte* name, uint mode, ulong device);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int symlinkat(byte* target, int directory, byte* name);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int linkat(int fromDirectory, byte* from, int toDirectory, byte* to, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int unlinkat(int directory, byte* name, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int renameat2(int fromDirectory, byte* from, int toDirectory, byte* to, uint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint readlinkat(int directory, byte* name, byte* buffer, nuint size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchmodat(int directory, byte* name, uint mode, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchownat(int directory, byte* name, uint user, uint group, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int utimensat(int directory, byte* name, timespec* times, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fstatfs(int fd, statfs* status);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint getdents64(int fd, byte* buffer, nuint size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial long lseek(int fd, long offset, int whence);

    [LibraryImport("libc", SetLastError = true)]
    private static partial long preadv(int fd, IoVec* vectors, int count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial long pwritev(int fd, IoVec* vectors, int count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int syncfs(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fallocate(int fd, int mode, long offset, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial long copy_file_range(int from, long* fromOffset, int to, long* toOffset, nuint length, uint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setxattr(byte* path, byte* name, byte* value, nuint size, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint getxattr(byte* path, byte* name, byte* value, nuint size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint listxattr(byte* path, byte* list, nuint size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int removexattr(byte* path, byte* name);
}
