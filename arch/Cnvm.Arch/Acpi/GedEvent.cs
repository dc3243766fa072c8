using Cnvm.Arch.Acpi.Aml;

namespace Cnvm.Arch.Acpi;

/// <summary>What the guest does when a bit of the generic event device's register is set.</summary>
/// <param name="Bit">Mask of one bit.</param>
/// <param name="Actions">Statements of <c>\_SB.GED._EVT</c>; Local0 holds the event register and must not be written.</param>
public sealed record GedEvent(uint Bit, params IReadOnlyList<AmlTerm> Actions);
