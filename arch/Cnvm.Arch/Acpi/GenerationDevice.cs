using Cnvm.Arch.Acpi.Aml;
using static Cnvm.Arch.Acpi.Aml.AmlBuilder;

namespace Cnvm.Arch.Acpi;

/// <summary>
/// The virtual machine generation counter's device ("Virtual Machine Generation ID", Microsoft, 2012): where 16 bytes lie that are others
/// in every machine that went on from the same snapshot, and the event that tells the guest so.
/// </summary>
public static class GenerationDevice
{
    /// <summary>Bytes of the identifier.</summary>
    public const int IdBytes = 16;

    /// <summary>Bit of the generic event device's register.</summary>
    public const uint ChangedEvent = 1u << 4;

    // "Notify the device with 0x80" (section 3, ACPI event).
    private const uint Changed = 0x80;

    /// <summary>The object for <c>\_SB</c>. Guests know it by its compatible ID.</summary>
    /// <param name="address">Where the identifier lies: 8-byte aligned, nowhere that the guest is told is RAM.</param>
    public static AmlTerm Object(ulong address) => Device(
        "VGEN",
        Name("_HID", Text("CNVM0001")),
        Name("_CID", Text("VM_Gen_Counter")),
        Name("_DDN", Text("VM_Gen_Counter")),
        Name("ADDR", Package((uint)address, (uint)(address >> 32))));

    /// <summary>What the guest does when <see cref="ChangedEvent"/> is set.</summary>
    public static GedEvent Event { get; } = new(ChangedEvent, Notify(Path(@"\_SB.VGEN"), Changed));
}
