using Cnvm.Arch.Acpi.Aml;
using static Cnvm.Arch.Acpi.Aml.AmlBuilder;

namespace Cnvm.Arch.Acpi;

/// <summary>
/// Tells the guest of vCPUs that come and go while it runs (ACPI 6.5, 5.6.6, 6.3.3 and 8.4): a register block that only this AML knows, and a
/// processor device for every vCPU that there can ever be. The block has Cloud Hypervisor's size and flags; its last register finds news, so
/// that a guest with hundreds of vCPUs does not ask for each.
/// </summary>
public static class CpuHotplugDevice
{
    /// <summary>Bit of the generic event device's register.</summary>
    public const uint ChangedEvent = 1u << 0;

    /// <summary>Index of the vCPU that the flags are about, 32 bits.</summary>
    public const int SelectRegister = 0;

    /// <summary>One byte: the flags below.</summary>
    public const int FlagsRegister = 4;

    /// <summary>A read selects the next vCPU with news and gives its index, or <see cref="NoNews"/>. 32 bits.</summary>
    public const int NewsRegister = 8;

    /// <summary>Bytes of the register block.</summary>
    public const int RegisterBytes = 12;

    /// <summary>Read: the vCPU is there.</summary>
    public const byte PresentFlag = 1 << 0;

    /// <summary>Read: the vCPU has come and the guest has not been told. Write: it has.</summary>
    public const byte InsertedFlag = 1 << 1;

    /// <summary>Read: the vCPU is to go and the guest has not been told. Write: it has.</summary>
    public const byte RemovalFlag = 1 << 2;

    /// <summary>Write: the guest gives the vCPU up.</summary>
    public const byte EjectFlag = 1 << 3;

    /// <summary>No vCPU has news.</summary>
    public const uint NoNews = uint.MaxValue;

    // Notifications (5.6.6, table 5.150).
    private const uint DeviceCheck = 1;
    private const uint EjectRequest = 3;

    // _STA of a device that is there, works and is shown (6.3.7).
    private const uint StatusPresent = 0xF;

    /// <summary>What the guest does when <see cref="ChangedEvent"/> is set.</summary>
    public static GedEvent Event { get; } = new(ChangedEvent, Call(@"\_SB.CPUS.CSCN"));

    /// <summary>The objects for <c>\_SB</c>.</summary>
    /// <param name="address">Of the register block.</param>
    /// <param name="apicIds">Of all vCPUs that there can be, by index.</param>
    public static IReadOnlyList<AmlTerm> Objects(ulong address, IReadOnlyList<uint> apicIds)
    {
        ArgumentNullException.ThrowIfNull(apicIds);
        return [Controller(address), Processors(apicIds)];
    }

    private static AmlTerm Controller(ulong address) => Device(
        "PRES",
        Name("_HID", EisaId("PNP0A06")),
        Name("_UID", Text("CPU hot-plug")),

        // The selected vCPU belongs to whoever holds it.
        Mutex("CPLK"),
        OperationRegion("PRST", AmlAddressSpace.SystemMemory, address, RegisterBytes),
        Field(
            "PRST", AmlFieldAccess.Byte, AmlFieldUpdate.WriteAsZeros,
            Skip(FlagsRegister * 8), Unit("CPEN", 1), Unit("CINS", 1), Unit("CRMV", 1), Unit("CEJ0", 1)),
        Field("PRST", AmlFieldAccess.Dword, AmlFieldUpdate.WriteAsZeros, Unit("CSEL", 32), Skip(32), Unit("CNEW", 32)));

    private static AmlTerm Processors(IReadOnlyList<uint> apicIds) => Device(
        "CPUS",
        [
            Name("_HID", Text("ACPI0010")),
            Name("_CID", EisaId("PNP0A05")),
            SerializedMethod(
                "CSTA",
                1,
                Acquire(@"\_SB.PRES.CPLK"),
                Store(Arg(0), Path(@"\_SB.PRES.CSEL")),
                Store(0, Local(0)),
                If(Equal(Path(@"\_SB.PRES.CPEN"), 1), Store(StatusPresent, Local(0))),
                Release(@"\_SB.PRES.CPLK"),
                Return(Local(0))),
            SerializedMethod(
                "CEJC",
                1,
                Acquire(@"\_SB.PRES.CPLK"),
                Store(Arg(0), Path(@"\_SB.PRES.CSEL")),
                Store(1, Path(@"\_SB.PRES.CEJ0")),
                Release(@"\_SB.PRES.CPLK")),
            Method("CTFY", 2, [.. apicIds.Select((_, i) => If(Equal(Arg(0), i), Notify(Path(NameOf(i)), Arg(1))))]),
            SerializedMethod(
                "CSCN",
                0,
                Acquire(@"\_SB.PRES.CPLK"),
                While(
                    1,
                    Store(Path(@"\_SB.PRES.CNEW"), Local(0)),
                    If(Equal(Local(0), NoNews), Break()),
                    If(
                        Equal(Path(@"\_SB.PRES.CINS"), 1),
                        Call("CTFY", Local(0), DeviceCheck),
                        Store(1, Path(@"\_SB.PRES.CINS"))),
                    If(
                        Equal(Path(@"\_SB.PRES.CRMV"), 1),
                        Call("CTFY", Local(0), EjectRequest),
                        Store(1, Path(@"\_SB.PRES.CRMV")))),
                Release(@"\_SB.PRES.CPLK")),
            .. apicIds.Select((id, i) => Processor(i, id)),
        ]);

    /// <summary>The first vCPU cannot be given up. _MAT says what the MADT would of a vCPU that is there (6.2.10).</summary>
    private static AmlTerm Processor(int index, uint apicId) => Device(
        NameOf(index),
        [
            Name("_HID", Text("ACPI0007")),
            Name("_UID", index),
            Method("_STA", 0, Return(Call("CSTA", index))),
            Name("_MAT", Buffer(Madt.EnabledProcessor((uint)index, apicId))),
            .. index == 0 ? (AmlTerm[])[] : [Method("_EJ0", 1, Call("CEJC", index))],
        ]);

    private static string NameOf(int vcpu) => $"C{vcpu:X3}";
}
