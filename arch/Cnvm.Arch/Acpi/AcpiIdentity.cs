namespace Cnvm.Arch.Acpi;

/// <summary>How our tables name their maker.</summary>
internal static class AcpiIdentity
{
    public const uint OemRevision = 1;
    public const uint CreatorRevision = 1;

    public static ReadOnlySpan<byte> OemId => "CNVM  "u8;

    public static ReadOnlySpan<byte> OemTableId => "CNVM    "u8;

    public static ReadOnlySpan<byte> CreatorId => "CNVM"u8;

    public static ReadOnlySpan<byte> HypervisorVendor => "CNVM    "u8;
}
