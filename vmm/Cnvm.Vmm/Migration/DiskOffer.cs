using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Migration;

/// <summary>A disk that moves along.</summary>
/// <param name="Id">As in the configuration.</param>
/// <param name="Size">Bytes that the guest sees; a multiple of 512.</param>
/// <param name="Data">Bytes that are not holes, as far as is known; 0 if nothing is.</param>
/// <param name="BlockSize">Smallest transfer that the guest may ask for, in bytes.</param>
internal sealed record DiskOffer(string Id, ulong Size, ulong Data, uint BlockSize)
{
    /// <summary>Largest disk that moves: what has been written is remembered for every block of it.</summary>
    public const ulong MostBytes = 1UL << 46;

    private const uint SectorBytes = 512;

    public static DiskOffer Describe(StateVisitor v, DiskOffer? o)
    {
        var offer = new DiskOffer(
            v.Text(1, "id", o?.Id), v.U64(2, "size", o?.Size), v.U64(3, "data", o?.Data), v.U32(4, "block_size", o?.BlockSize));
        v.Require(offer.Size is > 0 and <= MostBytes && offer.Size % SectorBytes == 0, $"a disk of {offer.Size} bytes");
        return offer;
    }
}
