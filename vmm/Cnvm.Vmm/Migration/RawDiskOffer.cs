using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Migration;

/// <summary>A raw disk that does not move along: the target has its file already.</summary>
/// <param name="Id">As in the configuration.</param>
/// <param name="Size">Bytes that the guest sees.</param>
internal sealed record RawDiskOffer(string Id, ulong Size)
{
    public static RawDiskOffer Describe(StateVisitor v, RawDiskOffer? o) => new(v.Text(1, "id", o?.Id), v.U64(2, "size", o?.Size));
}
