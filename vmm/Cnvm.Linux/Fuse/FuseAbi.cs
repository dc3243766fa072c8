using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Fuse;

/// <summary>Numbers of the FUSE protocol (linux/fuse.h).</summary>
[Abi("linux/fuse.h")]
public static class FuseAbi
{
    public const uint FUSE_KERNEL_VERSION = 7;
    public const uint FUSE_KERNEL_MINOR_VERSION = 38;
    public const ulong FUSE_ROOT_ID = 1;

    // Operations.
    public const uint FUSE_LOOKUP = 1;
    public const uint FUSE_FORGET = 2;
    public const uint FUSE_GETATTR = 3;
    public const uint FUSE_SETATTR = 4;
    public const uint FUSE_READLINK = 5;
    public const uint FUSE_SYMLINK = 6;
    public const uint FUSE_MKNOD = 8;
    public const uint FUSE_MKDIR = 9;
    public const uint FUSE_UNLINK = 10;
    public const uint FUSE_RMDIR = 11;
    public const uint FUSE_RENAME = 12;
    public const uint FUSE_LINK = 13;
    public const uint FUSE_OPEN = 14;
    public const uint FUSE_READ = 15;
    public const uint FUSE_WRITE = 16;
    public const uint FUSE_STATFS = 17;
    public const uint FUSE_RELEASE = 18;
    public const uint FUSE_FSYNC = 20;
    public const uint FUSE_SETXATTR = 21;
    public const uint FUSE_GETXATTR = 22;
    public const uint FUSE_LISTXATTR = 23;
    public const uint FUSE_REMOVEXATTR = 24;
    public const uint FUSE_FLUSH = 25;
    public const uint FUSE_INIT = 26;
    public const uint FUSE_OPENDIR = 27;
    public const uint FUSE_READDIR = 28;
    public const uint FUSE_RELEASEDIR = 29;
    public const uint FUSE_FSYNCDIR = 30;
    public const uint FUSE_GETLK = 31;
    public const uint FUSE_SETLK = 32;
    public const uint FUSE_SETLKW = 33;
    public const uint FUSE_ACCESS = 34;
    public const uint FUSE_CREATE = 35;
    public const uint FUSE_INTERRUPT = 36;
    public const uint FUSE_DESTROY = 38;
    public const uint FUSE_BATCH_FORGET = 42;
    public const uint FUSE_FALLOCATE = 43;
    public const uint FUSE_READDIRPLUS = 44;
    public const uint FUSE_RENAME2 = 45;
    public const uint FUSE_LSEEK = 46;
    public const uint FUSE_COPY_FILE_RANGE = 47;
    public const uint FUSE_SYNCFS = 50;
    public const uint FUSE_TMPFILE = 51;

    // Flags of FUSE_INIT.
    public const uint FUSE_ASYNC_READ = 1u << 0;
    public const uint FUSE_POSIX_LOCKS = 1u << 1;
    public const uint FUSE_BIG_WRITES = 1u << 5;
    public const uint FUSE_FLOCK_LOCKS = 1u << 10;
    public const uint FUSE_AUTO_INVAL_DATA = 1u << 12;
    public const uint FUSE_DO_READDIRPLUS = 1u << 13;
    public const uint FUSE_READDIRPLUS_AUTO = 1u << 14;
    public const uint FUSE_ASYNC_DIO = 1u << 15;
    public const uint FUSE_WRITEBACK_CACHE = 1u << 16;
    public const uint FUSE_PARALLEL_DIROPS = 1u << 18;
    public const uint FUSE_MAX_PAGES = 1u << 22;
    public const uint FUSE_CACHE_SYMLINKS = 1u << 23;

    // What FUSE_SETATTR changes.
    public const uint FATTR_MODE = 1u << 0;
    public const uint FATTR_UID = 1u << 1;
    public const uint FATTR_GID = 1u << 2;
    public const uint FATTR_SIZE = 1u << 3;
    public const uint FATTR_ATIME = 1u << 4;
    public const uint FATTR_MTIME = 1u << 5;
    public const uint FATTR_FH = 1u << 6;
    public const uint FATTR_ATIME_NOW = 1u << 7;
    public const uint FATTR_MTIME_NOW = 1u << 8;

    // Flags of single requests and answers.
    public const uint FOPEN_DIRECT_IO = 1u << 0;
    public const uint FOPEN_KEEP_CACHE = 1u << 1;
    public const uint FOPEN_CACHE_DIR = 1u << 3;
    public const uint FUSE_GETATTR_FH = 1u << 0;
    public const uint FUSE_FSYNC_FDATASYNC = 1u << 0;
    public const uint FUSE_LK_FLOCK = 1u << 0;
}
