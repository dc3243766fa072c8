namespace Cnvm.Arch.Firmware;

/// <summary>What the guest reads about the machine in SMBIOS. Strings are printable ASCII, 1 to 1024 characters each.</summary>
public sealed record SmbiosConfig
{
    /// <summary>Maker of the system.</summary>
    public string Manufacturer { get; init; } = "cnvm";

    /// <summary>Name of the system.</summary>
    public string Product { get; init; } = "cnvm";

    /// <summary>Serial number, or null.</summary>
    public string? SerialNumber { get; init; }

    /// <summary>Version of the system, or null.</summary>
    public string? Version { get; init; }

    /// <summary>Family of the system, or null.</summary>
    public string? Family { get; init; }

    /// <summary>SKU number of the system, or null.</summary>
    public string? SkuNumber { get; init; }

    /// <summary>Asset tag of the chassis, or null.</summary>
    public string? ChassisAssetTag { get; init; }

    /// <summary>UUID of the system; null leaves it unset (all zero).</summary>
    public Guid? Uuid { get; init; }

    /// <summary>Free strings for the guest (type 11).</summary>
    public IReadOnlyList<string> OemStrings { get; init; } = [];
}
