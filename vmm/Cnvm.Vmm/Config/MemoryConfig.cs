using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>Guest RAM; sizes in bytes.</summary>
/// <param name="Size">All RAM, what was added while the guest ran included; 0 when <paramref name="Zones"/> say it.</param>
/// <param name="Mergeable">Identical pages may be merged by KSM.</param>
/// <param name="HotplugMethod">How memory is added to a running guest.</param>
/// <param name="HotplugSize">RAM that can be added to a running guest. It costs address space only.</param>
/// <param name="HotpluggedSize">How much of <paramref name="Size"/> was added so: the guest finds it in the slots of its ACPI memory controller.</param>
/// <param name="Shared">The backing memory can be shared with other processes.</param>
/// <param name="HugepageSize">Size of a huge page; the host's default if null.</param>
/// <param name="Prefault">All RAM is touched before the guest starts.</param>
/// <param name="Reserve">Swap or huge pages are reserved for all RAM at start.</param>
/// <param name="Thp">Transparent huge pages are asked for.</param>
public sealed record MemoryConfig(
    [property: JsonRequired] ulong Size = MemoryConfig.DefaultSize,
    bool Mergeable = false,
    HotplugMethod HotplugMethod = HotplugMethod.Acpi,
    ulong? HotplugSize = null,
    ulong? HotpluggedSize = null,
    bool Shared = false,
    bool Hugepages = false,
    ulong? HugepageSize = null,
    bool Prefault = false,
    bool Reserve = false,
    bool Thp = true,
    IReadOnlyList<MemoryZoneConfig>? Zones = null)
{
    public const ulong DefaultSize = 512UL << 20;

    /// <summary>What is added to a running guest is a multiple of this: the smallest of a Linux guest's memory blocks.</summary>
    internal const ulong HotplugBlock = 128UL << 20;

    /// <summary>Bytes of address space to keep for memory that is added; 0 for none.</summary>
    internal ulong HotplugWindow => HotplugMethod == HotplugMethod.Acpi && HotplugSize is { } size
        ? (Math.Min(size, ulong.MaxValue - HotplugBlock) + HotplugBlock - 1) & ~(HotplugBlock - 1)
        : 0;

    /// <summary>Bytes of RAM that the memory map of the boot shows.</summary>
    internal ulong MappedBytes => TotalBytes - Math.Min(HotpluggedSize ?? 0, TotalBytes);

    /// <summary>Bytes of RAM, saturating: <see cref="Size"/>, or the sum of the zones.</summary>
    internal ulong TotalBytes
    {
        get
        {
            if (Zones is not { Count: > 0 })
            {
                return Size;
            }

            ulong total = 0;
            foreach (MemoryZoneConfig zone in Zones)
            {
                total = total + zone.Size < total ? ulong.MaxValue : total + zone.Size;
            }

            return total;
        }
    }
}
