using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Fuse;

// What a FUSE kernel is answered (linux/fuse.h), under their own names.

[Abi("linux/fuse.h", "struct fuse_out_header")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_out_header
{
    public uint len;
    public int error;
    public ulong unique;
}

[Abi("linux/fuse.h", "struct fuse_attr")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_attr
{
    public ulong ino;
    public ulong size;
    public ulong blocks;
    public ulong atime;
    public ulong mtime;
    public ulong ctime;
    public uint atimensec;
    public uint mtimensec;
    public uint ctimensec;
    public uint mode;
    public uint nlink;
    public uint uid;
    public uint gid;
    public uint rdev;
    public uint blksize;
    public uint flags;
}

[Abi("linux/fuse.h", "struct fuse_kstatfs")]
[StructLayout(LayoutKind.Sequential)]
public unsafe struct fuse_kstatfs
{
    public ulong blocks;
    public ulong bfree;
    public ulong bavail;
    public ulong files;
    public ulong ffree;
    public uint bsize;
    public uint namelen;
    public uint frsize;
    public uint padding;
    private fixed uint spare[6];
}

[Abi("linux/fuse.h", "struct fuse_entry_out")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_entry_out
{
    public ulong nodeid;
    public ulong generation;
    public ulong entry_valid;
    public ulong attr_valid;
    public uint entry_valid_nsec;
    public uint attr_valid_nsec;
    public fuse_attr attr;
}

[Abi("linux/fuse.h", "struct fuse_attr_out")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_attr_out
{
    public ulong attr_valid;
    public uint attr_valid_nsec;
    public uint dummy;
    public fuse_attr attr;
}

[Abi("linux/fuse.h", "struct fuse_open_out")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_open_out
{
    public ulong fh;
    public uint open_flags;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_write_out")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_write_out
{
    public uint size;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_statfs_out")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_statfs_out
{
    public fuse_kstatfs st;
}

[Abi("linux/fuse.h", "struct fuse_getxattr_out")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_getxattr_out
{
    public uint size;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_init_out")]
[StructLayout(LayoutKind.Sequential)]
public unsafe struct fuse_init_out
{
    public uint major;
    public uint minor;
    public uint max_readahead;
    public uint flags;
    public ushort max_background;
    public ushort congestion_threshold;
    public uint max_write;
    public uint time_gran;
    public ushort max_pages;
    public ushort map_alignment;
    public uint flags2;
    private fixed uint unused[7];
}

[Abi("linux/fuse.h", "struct fuse_dirent", Prefix = true)]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_dirent
{
    public ulong ino;
    public ulong off;
    public uint namelen;
    public uint type;
}

[Abi("linux/fuse.h", "struct fuse_lseek_out")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_lseek_out
{
    public ulong offset;
}

[Abi("linux/fuse.h", "struct fuse_lk_out")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_lk_out
{
    public fuse_file_lock lk;
}
