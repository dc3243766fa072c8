namespace Cnvm.Arch.Machine;

/// <summary>Where PCI lies in the guest's address space.</summary>
/// <param name="Ecam">Configuration space: 1 MiB (one bus) per segment.</param>
/// <param name="Mmio32">Memory window below 4 GiB, shared by all segments.</param>
/// <param name="FirstIntxGsi">First of the GSIs for INTx.</param>
/// <param name="IntxGsiCount">Number of GSIs for INTx.</param>
public sealed record PciLayout(AddressRange Ecam, AddressRange Mmio32, uint FirstIntxGsi, int IntxGsiCount)
{
    /// <summary>Most segments that a machine can have.</summary>
    public const int MaxSegments = 96;

    /// <summary>Configuration space of one segment: one bus.</summary>
    public const ulong EcamPerSegment = 1UL << 20;

    /// <summary>Device slots on a bus.</summary>
    public const int Slots = 32;

    /// <summary>Configuration space of a segment.</summary>
    public AddressRange EcamOf(int segment)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(segment);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(segment, MaxSegments);
        return new AddressRange(Ecam.Start + ((ulong)segment * EcamPerSegment), EcamPerSegment);
    }

    /// <summary>
    /// GSI of an interrupt pin of a slot, on every segment. Pins rotate over slots, as a PCI-to-PCI bridge swizzles them.
    /// </summary>
    /// <param name="slot">0 to 31.</param>
    /// <param name="pin">0 (INTA) to 3 (INTD).</param>
    public uint GsiOf(int slot, int pin) => FirstIntxGsi + (uint)((slot + pin) % IntxGsiCount);
}
