using System.Runtime.InteropServices;

namespace Cnvm.Virtio.Block;

/// <summary>struct virtio_blk_req up to its data (virtio 1.2 §5.2.6).</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct RequestHeader
{
    public readonly uint Type;
    public readonly uint Reserved;
    public readonly ulong Sector;
}
