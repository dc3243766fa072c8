using System.Runtime.InteropServices;

namespace Cnvm.Virtio.Block;

/// <summary>struct virtio_blk_discard_write_zeroes (virtio 1.2 §5.2.6).</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct SectorRange
{
    public readonly ulong Sector;
    public readonly uint Count;
    public readonly uint Flags;
}
