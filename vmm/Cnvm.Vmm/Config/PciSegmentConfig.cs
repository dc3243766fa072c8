using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>One PCI segment's share of the MMIO windows.</summary>
public sealed record PciSegmentConfig(
    [property: JsonRequired] ushort PciSegment = 0,
    uint Mmio32ApertureWeight = 1,
    uint Mmio64ApertureWeight = 1);
