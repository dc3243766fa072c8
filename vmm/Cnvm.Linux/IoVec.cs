using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>One piece of a scattered buffer: struct iovec (sys/uio.h).</summary>
[Abi("sys/uio.h", "struct iovec")]
[StructLayout(LayoutKind.Sequential)]
public struct IoVec
{
    /// <summary>Most pieces that one readv, writev, preadv or pwritev takes (UIO_MAXIOV).</summary>
    public const int MaxCount = 1024;

    /// <summary>Host address of the first byte.</summary>
    [AbiField("iov_base")] public nint Base;

    /// <summary>Bytes.</summary>
    [AbiField("iov_len")] public nuint Length;
}
