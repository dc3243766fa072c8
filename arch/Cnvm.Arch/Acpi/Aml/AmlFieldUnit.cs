namespace Cnvm.Arch.Acpi.Aml;

/// <summary>A named run of bits in a field, or (without a name) bits to skip.</summary>
/// <param name="Name">One to four characters, or null for reserved bits.</param>
/// <param name="Bits">Width, 1 or more.</param>
public readonly record struct AmlFieldUnit(string? Name, int Bits);
