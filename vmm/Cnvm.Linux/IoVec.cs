using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>One piece of a scattered buffer: struct iovec (sys/uio.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IoVec
{
    /// <summary>Most pieces that one readv, writev, preadv or pwritev takes (UIO_MAXIOV).</summary>
    public const int MaxCount = 1024;

    /// <summary>Host address of the first byte.</summary>
    public nint Base;

    /// <summary>Bytes.</summary>
    public nuint Length;
}
