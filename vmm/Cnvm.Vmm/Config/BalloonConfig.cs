using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The virtio balloon.</summary>
/// <param name="Size">Bytes that the guest is asked to give up.</param>
/// <param name="DeflateOnOom">The guest may take pages back before it ends processes for want of memory.</param>
/// <param name="FreePageReporting">The guest tells of free pages, and the host takes them.</param>
/// <param name="Statistics">The guest tells figures of its memory; cnvm's own addition.</param>
public sealed record BalloonConfig(
    [property: JsonRequired] ulong Size = 0,
    bool DeflateOnOom = false,
    bool FreePageReporting = false,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Statistics = false,
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null) : IPciDeviceConfig;
