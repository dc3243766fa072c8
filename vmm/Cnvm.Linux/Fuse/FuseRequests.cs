using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Fuse;

// What a FUSE kernel sends (linux/fuse.h), under their own names.

[Abi("linux/fuse.h", "struct fuse_in_header")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_in_header
{
    public uint len;
    public uint opcode;
    public ulong unique;
    public ulong nodeid;
    public uint uid;
    public uint gid;
    public uint pid;
    public ushort total_extlen;
    public ushort padding;
}

[Abi("linux/fuse.h", "struct fuse_forget_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_forget_in
{
    public ulong nlookup;
}

[Abi("linux/fuse.h", "struct fuse_forget_one")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_forget_one
{
    public ulong nodeid;
    public ulong nlookup;
}

[Abi("linux/fuse.h", "struct fuse_batch_forget_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_batch_forget_in
{
    public uint count;
    public uint dummy;
}

[Abi("linux/fuse.h", "struct fuse_getattr_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_getattr_in
{
    public uint getattr_flags;
    public uint dummy;
    public ulong fh;
}

[Abi("linux/fuse.h", "struct fuse_mknod_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_mknod_in
{
    public uint mode;
    public uint rdev;
    public uint umask;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_mkdir_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_mkdir_in
{
    public uint mode;
    public uint umask;
}

[Abi("linux/fuse.h", "struct fuse_rename_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_rename_in
{
    public ulong newdir;
}

[Abi("linux/fuse.h", "struct fuse_rename2_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_rename2_in
{
    public ulong newdir;
    public uint flags;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_link_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_link_in
{
    public ulong oldnodeid;
}

[Abi("linux/fuse.h", "struct fuse_setattr_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_setattr_in
{
    public uint valid;
    public uint padding;
    public ulong fh;
    public ulong size;
    public ulong lock_owner;
    public ulong atime;
    public ulong mtime;
    public ulong ctime;
    public uint atimensec;
    public uint mtimensec;
    public uint ctimensec;
    public uint mode;
    public uint unused4;
    public uint uid;
    public uint gid;
    public uint unused5;
}

[Abi("linux/fuse.h", "struct fuse_open_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_open_in
{
    public uint flags;
    public uint open_flags;
}

[Abi("linux/fuse.h", "struct fuse_create_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_create_in
{
    public uint flags;
    public uint mode;
    public uint umask;
    public uint open_flags;
}

[Abi("linux/fuse.h", "struct fuse_release_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_release_in
{
    public ulong fh;
    public uint flags;
    public uint release_flags;
    public ulong lock_owner;
}

[Abi("linux/fuse.h", "struct fuse_flush_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_flush_in
{
    public ulong fh;
    public uint unused;
    public uint padding;
    public ulong lock_owner;
}

[Abi("linux/fuse.h", "struct fuse_read_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_read_in
{
    public ulong fh;
    public ulong offset;
    public uint size;
    public uint read_flags;
    public ulong lock_owner;
    public uint flags;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_write_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_write_in
{
    public ulong fh;
    public ulong offset;
    public uint size;
    public uint write_flags;
    public ulong lock_owner;
    public uint flags;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_fsync_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_fsync_in
{
    public ulong fh;
    public uint fsync_flags;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_getxattr_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_getxattr_in
{
    public uint size;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_access_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_access_in
{
    public uint mask;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_init_in", Prefix = true)]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_init_in
{
    public uint major;
    public uint minor;
    public uint max_readahead;
    public uint flags;
}

[Abi("linux/fuse.h", "struct fuse_fallocate_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_fallocate_in
{
    public ulong fh;
    public ulong offset;
    public ulong length;
    public uint mode;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_lseek_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_lseek_in
{
    public ulong fh;
    public ulong offset;
    public uint whence;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_copy_file_range_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_copy_file_range_in
{
    public ulong fh_in;
    public ulong off_in;
    public ulong nodeid_out;
    public ulong fh_out;
    public ulong off_out;
    public ulong len;
    public ulong flags;
}

[Abi("linux/fuse.h", "struct fuse_setxattr_in", Prefix = true)]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_setxattr_in
{
    public uint size;
    public uint flags;
}

/// <summary>A range that is locked, or is to be: the type is F_RDLCK, F_WRLCK or F_UNLCK.</summary>
[Abi("linux/fuse.h", "struct fuse_file_lock")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_file_lock
{
    public ulong start;
    public ulong end;
    public uint type;
    public uint pid;
}

[Abi("linux/fuse.h", "struct fuse_lk_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_lk_in
{
    public ulong fh;
    public ulong owner;
    public fuse_file_lock lk;
    public uint lk_flags;
    public uint padding;
}

[Abi("linux/fuse.h", "struct fuse_interrupt_in")]
[StructLayout(LayoutKind.Sequential)]
public struct fuse_interrupt_in
{
    public ulong unique;
}
