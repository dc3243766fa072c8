using Cnvm.Arch.Acpi.Aml;
using static Cnvm.Arch.Acpi.Aml.AmlBuilder;

namespace Cnvm.Arch.Acpi;

/// <summary>
/// Tells the guest of memory that comes while it runs (ACPI 6.5, 5.6.6 and 9.12): a register block that only this AML knows, and a memory
/// device for each slot. A slot that has got memory keeps it: there is no way to eject it.
/// </summary>
public static class MemoryHotplugDevice
{
    /// <summary>Bit of the generic event device's register.</summary>
    public const uint ChangedEvent = 1u << 1;

    /// <summary>Pieces of memory that can be added.</summary>
    public const int Slots = 8;

    /// <summary>Write, 32 bits: the slot that all registers are about.</summary>
    public const int SelectRegister = 0;

    /// <summary>Read, 32 bits twice: where the slot's memory begins, lower half first.</summary>
    public const int BaseRegister = 0;

    /// <summary>Read, 32 bits twice: how many bytes it has.</summary>
    public const int LengthRegister = 8;

    /// <summary>Read, 32 bits: its proximity domain, always 0.</summary>
    public const int ProximityRegister = 16;

    /// <summary>8 bits: <see cref="EnabledFlag"/>, <see cref="InsertingFlag"/>.</summary>
    public const int FlagsRegister = 20;

    /// <summary>The slot has memory.</summary>
    public const byte EnabledFlag = 1 << 0;

    /// <summary>It has come and the guest has not been notified of it; a write of it clears it.</summary>
    public const byte InsertingFlag = 1 << 1;

    /// <summary>Bytes of the register block.</summary>
    public const int RegisterBytes = 24;

    // Notification (5.6.6, table 5.150).
    private const uint DeviceCheck = 1;

    // _STA (6.3.7): present, enabled, shown, functioning.
    private const uint Present = 0x0F;

    /// <summary>What the guest does when <see cref="ChangedEvent"/> is set.</summary>
    public static GedEvent Event { get; } = new(ChangedEvent, Call(@"\_SB.MHPC.MSCN"));

    /// <summary>The object for <c>\_SB</c>.</summary>
    /// <param name="address">Of the register block.</param>
    public static AmlTerm Object(ulong address)
    {
        int[] slots = [.. Enumerable.Range(0, Slots)];
        return Device(
            "MHPC",
            [
                Name("_HID", EisaId("PNP0A06")),
                Name("_UID", Text("Memory hot-plug")),
                OperationRegion("MHPR", AmlAddressSpace.SystemMemory, address, RegisterBytes),
                Field("MHPR", AmlFieldAccess.Dword, AmlFieldUpdate.WriteAsZeros, Unit("MHBL", 32), Unit("MHBH", 32), Unit("MHLL", 32), Unit("MHLH", 32)),

                // The same place, written.
                Field("MHPR", AmlFieldAccess.Dword, AmlFieldUpdate.WriteAsZeros, Unit("MSEL", 32)),
                Field("MHPR", AmlFieldAccess.Byte, AmlFieldUpdate.WriteAsZeros, Skip(FlagsRegister * 8), Unit("MENA", 1), Unit("MINS", 1)),

                // The selected slot belongs to whoever holds it.
                Mutex("MLCK"),
                SerializedMethod(
                    "MSTA",
                    1,
                    Acquire("MLCK"),
                    Store(Arg(0), Path("MSEL")),
                    Store(0, Local(0)),
                    If(Equal(Path("MENA"), 1), Store(Present, Local(0))),
                    Release("MLCK"),
                    Return(Local(0))),
                SerializedMethod(
                    "MCRS",
                    1,
                    Name("MR64", ResourceTemplate(AmlResource.Ram64())),
                    CreateQwordField(Path("MR64"), AmlResource.QwordFirst, "MMIN"),
                    CreateQwordField(Path("MR64"), AmlResource.QwordLast, "MMAX"),
                    CreateQwordField(Path("MR64"), AmlResource.QwordLength, "MLEN"),
                    Acquire("MLCK"),
                    Store(Arg(0), Path("MSEL")),
                    Or(Path("MHBL"), ShiftLeft(Path("MHBH"), 32), Path("MMIN")),
                    Or(Path("MHLL"), ShiftLeft(Path("MHLH"), 32), Path("MLEN")),
                    Release("MLCK"),
                    Subtract(Add(Path("MMIN"), Path("MLEN")), 1, Path("MMAX")),
                    Return(Path("MR64"))),
                Method("MTFY", 1, [.. slots.Select(slot => If(Equal(Arg(0), slot), Notify(Path(NameOf(slot)), DeviceCheck)))]),
                SerializedMethod(
                    "MSCN",
                    0,
                    Store(0, Local(0)),
                    While(
                        Less(Local(0), Slots),
                        Acquire("MLCK"),
                        Store(Local(0), Path("MSEL")),
                        Store(Path("MINS"), Local(1)),
                        If(Equal(Local(1), 1), Store(1, Path("MINS"))),
                        Release("MLCK"),
                        If(Equal(Local(1), 1), Call("MTFY", Local(0))),
                        Increment(Local(0)))),
                .. slots.Select(slot => Device(
                    NameOf(slot),
                    Name("_HID", EisaId("PNP0C80")),
                    Name("_UID", slot),
                    Method("_STA", 0, Return(Call("MSTA", slot))),
                    Method("_CRS", 0, Return(Call("MCRS", slot))))),
            ]);
    }

    private static string NameOf(int slot) => $"M{slot:D3}";
}
