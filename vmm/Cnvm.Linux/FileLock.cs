using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>struct flock (fcntl.h).</summary>
[Abi("fcntl.h", "struct flock")]
[StructLayout(LayoutKind.Sequential)]
internal struct FileLock
{
    [AbiField("l_type")] public short Type;
    [AbiField("l_whence")] public short Whence;
    [AbiField("l_start")] public long Start;
    [AbiField("l_len")] public long Length;
    [AbiField("l_pid")] public int Pid;
}
