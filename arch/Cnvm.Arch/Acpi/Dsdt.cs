using Cnvm.Arch.Acpi.Aml;
using Cnvm.Arch.Machine;
using static Cnvm.Arch.Acpi.Aml.AmlBuilder;

namespace Cnvm.Arch.Acpi;

/// <summary>The Differentiated System Description Table: the devices that a guest cannot find by itself.</summary>
internal static class Dsdt
{
    // Revision 2 or above: integers have 64 bits.
    private const byte Revision = 2;

    // Bus address space of a slot with every function (ACPI 6.5, 6.2.13).
    private const uint AllFunctions = 0xFFFF;

    public static byte[] Build(AcpiMachine machine, AcpiLayout hardware)
    {
        var layout = machine.Layout;
        var devices = new List<AmlTerm>();
        if (layout.Profile.Pci is { } pci)
        {
            devices.Add(InterruptRouting(pci));
            foreach (var segment in layout.PciSegments)
            {
                devices.Add(HostBridge(segment, machine.HostBridgeObjects.GetValueOrDefault(segment.Segment, [])));
            }
        }

        devices.Add(Motherboard(layout, hardware));
        foreach (var transport in machine.VirtioMmioTransports)
        {
            devices.Add(VirtioMmio(
                layout.Profile.VirtioMmio ?? throw new ArgumentException("The profile has no virtio-mmio transports.", nameof(machine)),
                transport));
        }

        if (machine.HasSerial)
        {
            devices.Add(Serial());
        }

        if (machine.HasRtc)
        {
            devices.Add(Rtc(layout.Profile.RtcIrq));
        }

        if (machine.PvpanicPort is { } port)
        {
            devices.Add(Pvpanic(port));
        }

        devices.Add(PowerButton());
        devices.AddRange(machine.Objects);
        devices.Add(EventDevice(layout.GedAddress, hardware, machine.Events));

        var writer = new AmlWriter();
        AcpiTable.WriteHeader(writer, "DSDT"u8, Revision);
        Name(@"\_S5", Package(AcpiLayout.S5SleepType, 0, 0, 0)).Write(writer);
        Scope(@"\_SB", [.. devices]).Write(writer);
        return AcpiTable.Finish(writer);
    }

    /// <summary>One routing table that the bridges of all segments return: their slots are wired alike.</summary>
    private static AmlTerm InterruptRouting(PciLayout pci)
    {
        const int Pins = 4;
        var routes = new AmlTerm[PciLayout.Slots * Pins];
        for (var slot = 0; slot < PciLayout.Slots; slot++)
        {
            for (var pin = 0; pin < Pins; pin++)
            {
                routes[(slot * Pins) + pin] = Package(((uint)slot << 16) | AllFunctions, pin, 0, pci.GsiOf(slot, pin));
            }
        }

        return Name("PRTS", Package(routes));
    }

    private static AmlTerm HostBridge(PciSegmentWindows segment, IReadOnlyList<AmlTerm> objects)
    {
        var resources = new List<AmlResource> { AmlResource.BusRange(0, 0) };
        if (segment.Segment == 0)
        {
            // Configuration mechanism #1 reaches segment 0 only; the ports around it are free for BARs of that segment.
            resources.Add(AmlResource.Io(0xCF8, 8));
            resources.Add(AmlResource.IoRange(0x0000, 0x0CF7));
            resources.Add(AmlResource.IoRange(0x0D00, 0xFFFF));
        }

        resources.Add(AmlResource.MemoryRange32((uint)segment.Mmio32.Start, (uint)(segment.Mmio32.End - 1)));
        resources.Add(AmlResource.MemoryRange64(segment.Mmio64.Start, segment.Mmio64.End - 1));
        return Device(
            $"PC{segment.Segment:X2}",
            [
                Name("_HID", EisaId("PNP0A08")),
                Name("_CID", EisaId("PNP0A03")),
                Name("_UID", segment.Segment),
                Name("_SEG", segment.Segment),
                Name("_BBN", 0),
                Name("_CCA", 1),
                Name("_CRS", ResourceTemplate([.. resources])),
                Method("_PRT", 0, Return(Path(@"\_SB.PRTS"))),
                .. objects,
            ]);
    }

    /// <summary>Addresses that no driver may hand out: configuration space and the ACPI registers.</summary>
    private static AmlTerm Motherboard(PhysicalLayout layout, AcpiLayout hardware)
    {
        var resources = new List<AmlResource>();
        if (layout.PciSegments is [var first, ..] segments)
        {
            var length = segments[^1].Ecam.End - first.Ecam.Start;
            resources.Add(AmlResource.Memory32Fixed((uint)first.Ecam.Start, (uint)length));
        }

        foreach (var register in new[] { hardware.SleepControl, hardware.PmTimer })
        {
            if (register is { Space: AmlAddressSpace.SystemIo })
            {
                resources.Add(AmlResource.Io((ushort)register.Address, (byte)register.Bytes));
            }
        }

        return Device("MBRD", Name("_HID", EisaId("PNP0C02")), Name("_UID", 0), Name("_CRS", ResourceTemplate([.. resources])));
    }

    private static AmlTerm VirtioMmio(VirtioMmioLayout transports, int index) => Device(
        $"VR{index:X2}",
        Name("_HID", Text("LNRO0005")),
        Name("_UID", index),
        Name("_CCA", 1),
        Name("_CRS", ResourceTemplate(
            AmlResource.Memory32Fixed((uint)transports.AddressOf(index), (uint)VirtioMmioLayout.Stride),
            AmlResource.Interrupt(transports.GsiOf(index), transports.EdgeTriggered))));

    private static AmlTerm Serial() => Device(
        "COM1",
        Name("_HID", EisaId("PNP0501")),
        Name("_UID", 0),
        Name("_DDN", Text("COM1")),
        Name("_CRS", ResourceTemplate(
            AmlResource.Interrupt(MachineProfile.SerialIrq, edge: true),
            AmlResource.Io(MachineProfile.SerialPort, 8))));

    private static AmlTerm Rtc(byte? irq)
    {
        var ports = AmlResource.Io(MachineProfile.RtcPort, 2);
        return Device(
            "RTC0",
            Name("_HID", EisaId("PNP0B00")),
            Name("_CRS", irq is { } line ? ResourceTemplate(ports, AmlResource.IsaIrq(line)) : ResourceTemplate(ports)));
    }

    private static AmlTerm Pvpanic(ushort port) => Device(
        "PEVT",
        Name("_HID", Text("QEMU0001")),
        Name("_CRS", ResourceTemplate(AmlResource.Io(port, 1))));

    private static AmlTerm PowerButton() => Device("PWRB", Name("_HID", EisaId("PNP0C0C")), Name("_UID", 0));

    /// <summary>The generic event device (5.6.9): its interrupt runs _EVT, which reads (and so clears) the event register once.</summary>
    private static AmlTerm EventDevice(ulong address, AcpiLayout hardware, IReadOnlyList<GedEvent> events)
    {
        var body = new List<AmlTerm>
        {
            Store(Path("EVTS"), Local(0)),
            If(And(Local(0), AcpiLayout.PowerButtonEvent), Notify(Path(@"\_SB.PWRB"), 0x80)),
        };
        foreach (var (bit, actions) in events)
        {
            body.Add(If(And(Local(0), bit), [.. actions]));
        }

        return Device(
            "GED",
            Name("_HID", Text("ACPI0013")),
            Name("_UID", 0),
            Name("_CRS", ResourceTemplate(AmlResource.Interrupt(hardware.GedGsi, edge: true))),
            OperationRegion("EREG", AmlAddressSpace.SystemMemory, address, 1),
            Field("EREG", AmlFieldAccess.Byte, AmlFieldUpdate.WriteAsZeros, Unit("EVTS", 8)),
            SerializedMethod("_EVT", 1, [.. body]));
    }
}
