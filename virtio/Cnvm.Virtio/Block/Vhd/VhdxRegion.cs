namespace Cnvm.Virtio.Block.Vhd;

/// <summary>A stretch of a VHDX file that no block may lie on.</summary>
/// <param name="Name">For messages.</param>
internal readonly record struct VhdxRegion(string Name, ulong Offset, ulong Length)
{
    public ulong End => Offset + Length;

    public bool Overlaps(ulong offset, ulong length) => offset < End && Offset < offset + length;
}
