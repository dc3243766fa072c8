namespace Cnvm.Arch.Acpi.Aml;

/// <summary>What a field write does to the bits beside it (ACPI 6.5, 19.6.48).</summary>
public enum AmlFieldUpdate : byte
{
    /// <summary>Read, merge, write.</summary>
    Preserve = 0,

    /// <summary>Write the other bits as ones.</summary>
    WriteAsOnes = 1,

    /// <summary>Write the other bits as zeros: for registers where a read has side effects.</summary>
    WriteAsZeros = 2,
}
