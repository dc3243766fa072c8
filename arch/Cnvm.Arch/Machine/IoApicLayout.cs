namespace Cnvm.Arch.Machine;

/// <summary>One IOAPIC.</summary>
/// <param name="Address">Guest physical address of its register page.</param>
/// <param name="GsiBase">GSI of its pin 0.</param>
/// <param name="Pins">Number of pins.</param>
public sealed record IoApicLayout(uint Address, uint GsiBase, int Pins);
