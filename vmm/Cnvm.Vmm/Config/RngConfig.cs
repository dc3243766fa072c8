using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The virtio entropy device.</summary>
/// <param name="Src">File that randomness is read from.</param>
public sealed record RngConfig(
    string Src = RngConfig.DefaultSrc,
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null) : IPciDeviceConfig
{
    public const string DefaultSrc = "/dev/urandom";
}
