using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Migration;

/// <summary>The raw disks of a guest that brings none along. Other images say their size in what they hold, which is not looked at while the source writes it.</summary>
internal sealed record RawDiskOffers(RawDiskOffer[] Disks)
{
    private const int Most = 1024;

    public static RawDiskOffers Describe(StateVisitor v, RawDiskOffers? o)
    {
        RawDiskOffer[] disks = v.List(1, "disks", o?.Disks, RawDiskOffer.Describe);
        v.Require(disks.Length <= Most, $"{disks.Length} raw disks; {Most} are possible");
        return new RawDiskOffers(disks);
    }
}
