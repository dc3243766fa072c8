using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Migration;

/// <summary>All disks of a guest that brings its disks along; messages name them by their place here.</summary>
internal sealed record DiskOffers(DiskOffer[] Disks)
{
    private const int Most = 1024;

    public static DiskOffers Describe(StateVisitor v, DiskOffers? o)
    {
        DiskOffer[] disks = v.List(1, "disks", o?.Disks, DiskOffer.Describe);
        v.Require(disks.Length <= Most, $"{disks.Length} disks; {Most} are possible");
        return new DiskOffers(disks);
    }
}
