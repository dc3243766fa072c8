using System.Runtime.InteropServices;
using System.Text;
using Cnvm.Linux.Abi;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Linux;

/// <summary>An open regular file or block device for disk I/O (fcntl.h, sys/uio.h, linux/fs.h). Transfers are safe on any thread.</summary>
[Abi("fcntl.h linux/fs.h linux/falloc.h unistd.h")]
public sealed unsafe partial class DiskFile : IDisposable
{
    /// <summary>fallocate mode: the range becomes a hole and reads as zeroes.</summary>
    public const int PunchHole = 0x02 | KeepSize;

    /// <summary>fallocate mode: the range reads as zeroes and stays allocated where the file system can do so.</summary>
    public const int ZeroRange = 0x10 | KeepSize;

    private const int KeepSize = 0x01;
    private const int O_RDWR = 2;
    private const int O_CLOEXEC = 0x80000;
    private const int O_DIRECT = 0x4000;
    private const int F_OFD_GETLK = 36;
    private const int F_OFD_SETLK = 37;
    private const short F_RDLCK = 0;
    private const short F_WRLCK = 1;
    private const short F_UNLCK = 2;
    private const int SEEK_END = 2;
    private const nuint BLKSSZGET = 0x1268;
    private const nuint BLKIOMIN = 0x1278;
    private const nuint BLKIOOPT = 0x1279;
    private const nuint BLKALIGNOFF = 0x127a;
    private const nuint BLKPBSZGET = 0x127b;

    private readonly FileDescriptor _fd;

    /// <param name="path">Regular file or block device.</param>
    /// <param name="readOnly">Opened for reading alone.</param>
    /// <param name="direct">O_DIRECT: transfers pass the page cache by and must be aligned.</param>
    /// <exception cref="LinuxException">It cannot be opened.</exception>
    public DiskFile(string path, bool readOnly, bool direct)
    {
        Path = path;
        int flags = O_CLOEXEC | (readOnly ? 0 : O_RDWR) | (direct ? O_DIRECT : 0);
        _fd = new FileDescriptor(LinuxError.Check(open(path, flags, 0), $"open {path}"));
        FileStatus status;
        try
        {
            status = FileStatus.Of(_fd.Value, path);
        }
        catch (LinuxException)
        {
            _fd.Dispose();
            throw;
        }

        IsBlockDevice = status.IsBlockDevice;
        IsRegularFile = status.IsRegularFile;
        Inode = status.Inode;
        DeviceMajor = status.DeviceMajor;
        DeviceMinor = status.DeviceMinor;
    }

    public string Path { get; }

    public bool IsBlockDevice { get; }

    public bool IsRegularFile { get; }

    /// <summary>The file's inode number, as /proc/locks names it.</summary>
    public ulong Inode { get; }

    /// <summary>Number of the device that the file lies on, with <see cref="DeviceMinor"/>.</summary>
    public uint DeviceMajor { get; }

    public uint DeviceMinor { get; }

    /// <summary>The raw descriptor; valid until this object is disposed.</summary>
    public int Fd => _fd.Value;

    /// <summary>Bytes in the file or on the device now.</summary>
    public ulong Size => (ulong)LinuxError.Check((nint)lseek(_fd.Value, 0, SEEK_END), $"lseek {Path}");

    /// <summary>Logical sector size of a block device, in bytes.</summary>
    public uint LogicalBlockSize => Ioctl(BLKSSZGET);

    /// <summary>Physical sector size of a block device, in bytes.</summary>
    public uint PhysicalBlockSize => Ioctl(BLKPBSZGET);

    /// <summary>Smallest efficient transfer of a block device, in bytes.</summary>
    public uint MinimumIoSize => Ioctl(BLKIOMIN);

    /// <summary>Best transfer size of a block device, in bytes; 0 when it has none.</summary>
    public uint OptimalIoSize => Ioctl(BLKIOOPT);

    /// <summary>Offset of the first physical sector on a block device, in bytes.</summary>
    public int AlignmentOffset => (int)Ioctl(BLKALIGNOFF);

    /// <summary>Reads at an offset. Returns bytes, or a negative error number.</summary>
    public nint Read(IoVec* vectors, int count, ulong offset)
    {
        // SAFETY: the caller vouches for the vectors.
        nint n = preadv(_fd.Value, vectors, count, (long)offset);
        return n < 0 ? -LinuxError.Last : n;
    }

    /// <summary>Writes at an offset. Returns bytes, or a negative error number.</summary>
    public nint Write(IoVec* vectors, int count, ulong offset)
    {
        // SAFETY: the caller vouches for the vectors.
        nint n = pwritev(_fd.Value, vectors, count, (long)offset);
        return n < 0 ? -LinuxError.Last : n;
    }

    /// <summary>Makes a regular file this long: cut off, or with a hole at its end.</summary>
    /// <exception cref="LinuxException">No space, or longer than the file system's files can be.</exception>
    public void SetSize(ulong bytes) => LinuxError.Check(Libc.ftruncate(_fd.Value, checked((long)bytes)), $"resize {Path}");

    /// <summary>Copies a regular file's contents to an empty one, with its holes. Nobody writes meanwhile.</summary>
    /// <exception cref="IOException">One of the two fails, or there is no space left.</exception>
    public void CopyTo(SafeFileHandle file)
    {
        // Another description of the same file, whatever its name is by now: without O_DIRECT, and with a position of its own.
        // Shared with writers, or the runtime would look for a lock of its own kind.
        using SafeFileHandle source = File.OpenHandle($"/proc/self/fd/{_fd.Value}", FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        FileCopy.CopyData(source, file);
    }

    /// <summary>Waits until data and what is needed to find it are on stable storage. Returns 0 or a negative error number.</summary>
    public int DataSync() => fdatasync(_fd.Value) < 0 ? -LinuxError.Last : 0;

    /// <summary>Changes the allocation of a range. Returns 0 or a negative error number.</summary>
    /// <param name="mode"><see cref="PunchHole"/> or <see cref="ZeroRange"/>.</param>
    public int Allocate(int mode, ulong offset, ulong length) =>
        fallocate(_fd.Value, mode, (long)offset, (long)length) < 0 ? -LinuxError.Last : 0;

    /// <summary>Takes an open-file-description lock without waiting.</summary>
    /// <param name="exclusive">Nobody else may hold any lock; otherwise nobody else may hold an exclusive one.</param>
    /// <param name="length">Bytes from the start; 0 locks to the end of any file.</param>
    /// <returns>False when another open file description is in the way.</returns>
    public bool TryLock(bool exclusive, ulong length)
    {
        FileLock l = new() { Type = exclusive ? F_WRLCK : F_RDLCK, Length = (long)length };
        // SAFETY: the kernel reads one local.
        if (fcntl(_fd.Value, F_OFD_SETLK, (nint)(&l)) == 0)
        {
            return true;
        }

        if (LinuxError.Last is Errno.EAGAIN or Errno.EACCES)
        {
            return false;
        }

        LinuxError.Throw($"lock {Path}");
        return false;
    }

    /// <summary>Whether <see cref="TryLock"/> would take a lock now. Nothing is locked.</summary>
    public bool CanLock(bool exclusive, ulong length)
    {
        FileLock l = new() { Type = exclusive ? F_WRLCK : F_RDLCK, Length = (long)length };

        // SAFETY: the kernel reads and fills one local.
        LinuxError.Check(fcntl(_fd.Value, F_OFD_GETLK, (nint)(&l)), $"look for locks of {Path}");
        return l.Type == F_UNLCK;
    }

    /// <summary>Gives up whatever lock this open file description has.</summary>
    public void Unlock()
    {
        FileLock l = new() { Type = F_UNLCK };

        // SAFETY: the kernel reads one local.
        LinuxError.Check(fcntl(_fd.Value, F_OFD_SETLK, (nint)(&l)), $"unlock {Path}");
    }

    /// <summary>The process that holds a lock in the way of an exclusive one; 0 when nobody does, -1 when it cannot be told.</summary>
    public int FindLockHolder()
    {
        FileLock l = new() { Type = F_WRLCK };
        // SAFETY: the kernel reads and fills one local.
        if (fcntl(_fd.Value, F_OFD_GETLK, (nint)(&l)) < 0 || l.Type is not (F_RDLCK or F_WRLCK))
        {
            return 0;
        }

        return l.Pid > 0 ? l.Pid : LockHolders.Find(Inode);
    }

    public void Dispose() => _fd.Dispose();

    private uint Ioctl(nuint request)
    {
        uint value = 0;
        // SAFETY: the kernel fills one local.
        LinuxError.Check(ioctl(_fd.Value, request, &value), $"block device ioctl on {Path}");
        return value;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial long lseek(int fd, long offset, int whence);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint preadv(int fd, IoVec* vectors, int count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pwritev(int fd, IoVec* vectors, int count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fallocate(int fd, int mode, long offset, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int fd, int command, nint argument);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(int fd, nuint request, uint* argument);
}
