using Cnvm.Arch.Acpi.Aml;
using Cnvm.Arch.Machine;
using static Cnvm.Arch.Acpi.Aml.AmlBuilder;

namespace Cnvm.Arch.Acpi;

/// <summary>
/// Tells the guest of PCI functions that come and go while it runs (ACPI 6.5, 5.6.6 and 6.3.3): a register block that only this AML knows,
/// and in every host bridge a device for each slot, which the guest is notified of and by which it gives the slot up.
/// </summary>
public static class PciHotplugDevice
{
    /// <summary>Bit of the generic event device's register.</summary>
    public const uint ChangedEvent = 1u << 2;

    /// <summary>Slots of the selected segment that have got a function, a bit each; cleared by a read. 32 bits, like all of them.</summary>
    public const int UpRegister = 0;

    /// <summary>Slots whose function is to go; cleared by a read.</summary>
    public const int DownRegister = 4;

    /// <summary>Write: slots that the guest has given up.</summary>
    public const int EjectRegister = 8;

    /// <summary>Number of the segment that the others are about.</summary>
    public const int SegmentRegister = 12;

    /// <summary>Bytes of the register block.</summary>
    public const int RegisterBytes = 16;

    // Notifications (5.6.6, table 5.150).
    private const uint DeviceCheck = 1;
    private const uint EjectRequest = 3;

    /// <summary>What the guest does when <see cref="ChangedEvent"/> is set.</summary>
    public static GedEvent Event { get; } = new(ChangedEvent, Call(@"\_SB.PHPR.PSCN"));

    /// <summary>The object for <c>\_SB</c>.</summary>
    /// <param name="address">Of the register block.</param>
    /// <param name="segments">Numbers of the machine's PCI segments.</param>
    public static AmlTerm Object(ulong address, IEnumerable<int> segments) => Device(
        "PHPR",
        Name("_HID", EisaId("PNP0A06")),
        Name("_UID", Text("PCI hot-plug")),
        OperationRegion("PCST", AmlAddressSpace.SystemMemory, address, RegisterBytes),
        Field("PCST", AmlFieldAccess.Dword, AmlFieldUpdate.WriteAsZeros, Unit("PCIU", 32), Unit("PCID", 32), Unit("B0EJ", 32), Unit("PSEG", 32)),

        // The selected segment belongs to whoever holds it.
        Mutex("BLCK"),
        SerializedMethod(
            "PCEJ",
            2,
            Acquire("BLCK"),
            Store(Arg(1), Path("PSEG")),
            ShiftLeft(1, Arg(0), Path("B0EJ")),
            Release("BLCK")),
        Method("PSCN", 0, [.. segments.Select(s => Call($@"\_SB.{BridgeOf(s)}.PCNT"))]));

    /// <summary>The objects for the host bridge of a segment. Slot 0 of segment 0 is the host bridge's own.</summary>
    public static IReadOnlyList<AmlTerm> SlotObjects(int segment)
    {
        int[] slots = [.. Enumerable.Range(0, PciLayout.Slots).Where(slot => segment != 0 || slot != 0)];
        return
        [
            .. slots.Select(slot => Device(
                NameOf(slot),
                Name("_SUN", slot),
                Name("_ADR", (uint)slot << 16),
                Method("_EJ0", 1, Call(@"\_SB.PHPR.PCEJ", slot, segment)))),
            Method("DVNT", 2, [.. slots.Select(slot => If(And(Arg(0), 1u << slot), Notify(Path(NameOf(slot)), Arg(1))))]),
            SerializedMethod(
                "PCNT",
                0,
                Acquire(@"\_SB.PHPR.BLCK"),
                Store(segment, Path(@"\_SB.PHPR.PSEG")),
                Store(Path(@"\_SB.PHPR.PCIU"), Local(0)),
                Store(Path(@"\_SB.PHPR.PCID"), Local(1)),
                Release(@"\_SB.PHPR.BLCK"),
                Call("DVNT", Local(0), DeviceCheck),
                Call("DVNT", Local(1), EjectRequest)),
        ];
    }

    private static string BridgeOf(int segment) => $"PC{segment:X2}";

    private static string NameOf(int slot) => $"S{slot:D3}";
}
