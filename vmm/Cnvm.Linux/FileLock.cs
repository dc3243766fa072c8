using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>struct flock (fcntl.h).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FileLock
{
    public short Type;
    public short Whence;
    public long Start;
    public long Length;
    public int Pid;
}
