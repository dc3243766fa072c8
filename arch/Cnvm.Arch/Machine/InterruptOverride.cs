namespace Cnvm.Arch.Machine;

/// <summary>An ISA interrupt whose GSI or trigger mode is stated in the MADT and the MP table.</summary>
/// <param name="IsaIrq">0 to 15.</param>
/// <param name="Gsi">GSI that it is wired to.</param>
public sealed record InterruptOverride(byte IsaIrq, uint Gsi);
