namespace Cnvm.Devices.Interrupts;

/// <summary>Registers of an I/O APIC and the levels at its pins.</summary>
public sealed record IoApicState
{
    /// <summary>0 to 15.</summary>
    public required byte Id { get; init; }

    /// <summary>IOREGSEL.</summary>
    public required byte Select { get; init; }

    /// <summary>One 64-bit redirection entry for each pin, as the guest reads it.</summary>
    public required ulong[] Redirection { get; init; }

    /// <summary>Bit n: pin n is asserted.</summary>
    public required ulong Levels { get; init; }
}
