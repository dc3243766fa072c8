using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>What statx(2) says of an open file.</summary>
[Abi("fcntl.h sys/stat.h")]
internal sealed partial class FileStatus
{
    private const int StatxSize = 256;
    private const int BlockSizeOffset = 4;
    private const int OwnerOffset = 20;
    private const int ModeOffset = 28;
    private const int InodeOffset = 32;
    private const int SizeOffset = 40;
    private const int DeviceMajorOffset = 136;
    private const int DeviceMinorOffset = 140;
    private const int AT_EMPTY_PATH = 0x1000;
    private const uint STATX_BASIC_STATS = 0x7ff;
    private const int PermissionBits = 0xfff;
    private const int S_IFMT = 0xf000;
    private const int S_IFIFO = 0x1000;
    private const int S_IFBLK = 0x6000;
    private const int S_IFREG = 0x8000;
    private const int S_IFSOCK = 0xc000;

    private readonly int _mode;

    private FileStatus(int mode, uint blockSize, ulong size, ulong inode, uint owner, uint deviceMajor, uint deviceMinor)
    {
        _mode = mode;
        BlockSize = blockSize;
        Size = size;
        Inode = inode;
        Owner = owner;
        DeviceMajor = deviceMajor;
        DeviceMinor = deviceMinor;
    }

    /// <summary>Number of the device that the file lies on, with <see cref="DeviceMinor"/>.</summary>
    public uint DeviceMajor { get; }

    public uint DeviceMinor { get; }

    public ulong Inode { get; }

    /// <summary>Bytes.</summary>
    public ulong Size { get; }

    /// <summary>Bytes that the file is best read in; in hugetlbfs, the size of its pages.</summary>
    public uint BlockSize { get; }

    /// <summary>User number.</summary>
    public uint Owner { get; }

    /// <summary>The twelve bits of chmod(1).</summary>
    public int Permissions => _mode & PermissionBits;

    public bool IsFifo => (_mode & S_IFMT) == S_IFIFO;

    public bool IsBlockDevice => (_mode & S_IFMT) == S_IFBLK;

    public bool IsRegularFile => (_mode & S_IFMT) == S_IFREG;

    public bool IsSocket => (_mode & S_IFMT) == S_IFSOCK;

    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static unsafe FileStatus Of(int fd, string path)
    {
        byte* buffer = stackalloc byte[StatxSize];
        // SAFETY: struct statx is 256 bytes.
        LinuxError.Check(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, buffer), $"statx {path}");
        ReadOnlySpan<byte> s = new(buffer, StatxSize);
        return new FileStatus(
            BinaryPrimitives.ReadUInt16LittleEndian(s[ModeOffset..]),
            BinaryPrimitives.ReadUInt32LittleEndian(s[BlockSizeOffset..]),
            BinaryPrimitives.ReadUInt64LittleEndian(s[SizeOffset..]),
            BinaryPrimitives.ReadUInt64LittleEndian(s[InodeOffset..]),
            BinaryPrimitives.ReadUInt32LittleEndian(s[OwnerOffset..]),
            BinaryPrimitives.ReadUInt32LittleEndian(s[DeviceMajorOffset..]),
            BinaryPrimitives.ReadUInt32LittleEndian(s[DeviceMinorOffset..]));
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int statx(int directory, string path, int flags, uint mask, byte* buffer);
}
