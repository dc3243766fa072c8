using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The machine as a whole: PCI segments, what SMBIOS says, and cnvm's machine profile.</summary>
/// <param name="NumPciSegments">PCI segments, 1..96.</param>
/// <param name="OemStrings">SMBIOS type 11 strings.</param>
/// <param name="Vmgenid">The guest learns when it goes on from a snapshot, by a generation identifier; cnvm's own key. Null is on.</param>
/// <param name="Vmclock">The guest can see that its clock was disrupted, on a VMClock page; cnvm's own key. Null is on.</param>
/// <param name="MachineProfile">Which machine the guest sees; cnvm's own key. Null is <see cref="MachineProfile.Cloud"/>.</param>
public sealed record PlatformConfig(
    ushort NumPciSegments = 1,
    IReadOnlyList<ushort>? IommuSegments = null,
    byte IommuAddressWidthBits = PlatformConfig.DefaultIommuAddressWidthBits,
    string? SystemSerialNumber = null,
    string? SystemUuid = null,
    IReadOnlyList<string>? OemStrings = null,
    string? SystemManufacturer = null,
    string? SystemProductName = null,
    string? SystemVersion = null,
    string? SystemFamily = null,
    string? SystemSkuNumber = null,
    string? ChassisAssetTag = null,
    bool Tdx = false,
    bool SevSnp = false,
    bool Iommufd = false,
    bool VfioP2pDma = true,
    MachineProfile? MachineProfile = null,
    bool? Vmgenid = null,
    bool? Vmclock = null)
{
    public const byte DefaultIommuAddressWidthBits = 64;

    /// <summary>Older key of <see cref="SystemSerialNumber"/>: read, never written.</summary>
    [JsonPropertyName("serial_number")]
    public string? SerialNumberAlias
    {
        get => null;
        init => SystemSerialNumber = value ?? SystemSerialNumber;
    }

    /// <summary>Older key of <see cref="SystemUuid"/>: read, never written.</summary>
    [JsonPropertyName("uuid")]
    public string? UuidAlias
    {
        get => null;
        init => SystemUuid = value ?? SystemUuid;
    }

    /// <summary>Older key of <see cref="IommuAddressWidthBits"/>: read, never written.</summary>
    [JsonPropertyName("iommu_address_width")]
    public byte? IommuAddressWidthAlias
    {
        get => null;
        init => IommuAddressWidthBits = value ?? IommuAddressWidthBits;
    }
}
