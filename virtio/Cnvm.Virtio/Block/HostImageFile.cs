using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Block;

/// <summary>An image in a file or on a block device of the host. Owns it.</summary>
internal sealed unsafe class HostImageFile(DiskFile file) : IImageFile
{
    public string Path => file.Path;

    public ulong Size => file.Size;

    public bool GrowsWithZeroes => file.IsRegularFile;

    public nint Read(IoVec* vectors, int count, ulong offset) => file.Read(vectors, count, offset);

    public nint Write(IoVec* vectors, int count, ulong offset) => file.Write(vectors, count, offset);

    public int DataSync() => file.DataSync();

    public int PunchHole(ulong offset, ulong length) => file.Allocate(DiskFile.PunchHole, offset, length);

    public int ZeroRange(ulong offset, ulong length) => file.Allocate(DiskFile.ZeroRange, offset, length);

    public void CopyTo(SafeFileHandle copy) => HostDisk.Copy(file, copy);

    public void Dispose() => file.Dispose();
}
