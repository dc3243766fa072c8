using Cnvm.Arch.Acpi.Aml;

namespace Cnvm.Arch.Machine;

/// <summary>A hardware register that ACPI tables point at.</summary>
/// <param name="Space">I/O port or memory.</param>
/// <param name="Address">Port number or guest physical address.</param>
/// <param name="Bytes">Width: 1, 2, 4 or 8.</param>
public sealed record AcpiRegister(AmlAddressSpace Space, ulong Address, int Bytes);
