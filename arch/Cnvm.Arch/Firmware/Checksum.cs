namespace Cnvm.Arch.Firmware;

/// <summary>The checksum of ACPI, SMBIOS and MP tables: the byte that makes all of them sum to zero.</summary>
internal static class Checksum
{
    /// <summary>What the checksum byte must hold when the other bytes are <paramref name="bytes"/> and it is still zero.</summary>
    public static byte Of(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (var b in bytes)
        {
            sum += b;
        }

        return (byte)-sum;
    }
}
