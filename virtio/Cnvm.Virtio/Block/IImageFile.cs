using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Block;

/// <summary>The file that an image lies in. Any thread; results are bytes, 0, or negative error numbers.</summary>
internal unsafe interface IImageFile : IDisposable
{
    string Path { get; }

    /// <summary>Bytes.</summary>
    ulong Size { get; }

    /// <summary>Whether what lies behind its end reads as zeroes once something is written there.</summary>
    bool GrowsWithZeroes { get; }

    nint Read(IoVec* vectors, int count, ulong offset);

    nint Write(IoVec* vectors, int count, ulong offset);

    int DataSync();

    int PunchHole(ulong offset, ulong length);

    /// <summary>Makes a range zero and keeps its space, where the file system can.</summary>
    int ZeroRange(ulong offset, ulong length);

    /// <inheritdoc cref="IBlockImage.CopyTo"/>
    void CopyTo(SafeFileHandle file);
}
