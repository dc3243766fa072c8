using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

[Abi("sys/statfs.h", "struct statfs")]
[StructLayout(LayoutKind.Sequential)]
public unsafe struct statfs
{
    public long f_type;
    public long f_bsize;
    public ulong f_blocks;
    public ulong f_bfree;
    public ulong f_bavail;
    public ulong f_files;
    public ulong f_ffree;
    public ulong f_fsid;
    public long f_namelen;
    public long f_frsize;
    public long f_flags;
    private fixed long f_spare[4];
}
