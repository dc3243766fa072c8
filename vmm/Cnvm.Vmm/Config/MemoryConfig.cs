using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>Guest RAM; sizes in bytes.</summary>
/// <param name="Size">RAM at boot; 0 when <paramref name="Zones"/> say it.</param>
/// <param name="Mergeable">Identical pages may be merged by KSM.</param>
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

    /// <summary>Bytes of RAM at boot, saturating: <see cref="Size"/>, or the sum of the zones.</summary>
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
