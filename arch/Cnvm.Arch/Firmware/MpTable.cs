using System.Buffers.Binary;
using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Firmware;

/// <summary>Puts the MP table (Intel MultiProcessor Specification 1.4) into guest memory, for guests that do not use ACPI.</summary>
public static class MpTable
{
    private const int FloatingPointerLength = 16;
    private const int HeaderLength = 44;
    private const byte SpecificationRevision = 4;
    private const byte LocalApicVersion = 0x14;
    private const byte IoApicVersion = 0x11;

    private const byte EntryProcessor = 0;
    private const byte EntryBus = 1;
    private const byte EntryIoApic = 2;
    private const byte EntryIoInterrupt = 3;
    private const byte EntryLocalInterrupt = 4;

    private const byte ProcessorEnabled = 1;
    private const byte ProcessorBoot = 2;

    private const byte InterruptVectored = 0;
    private const byte InterruptNmi = 1;
    private const byte InterruptExternal = 3;

    private const byte AllLocalApics = 0xFF;
    private const byte PciBus = 0;
    private const byte IsaBus = 1;
    private const int IsaIrqs = 16;
    private const int CascadeIrq = 2;

    // APIC ids have eight bits here, and 255 is all of them.
    private const uint MaxApicId = 254;

    /// <summary>Writes the floating pointer and the configuration table behind it.</summary>
    /// <param name="profile">Interrupt wiring.</param>
    /// <param name="apicIds">
    /// APIC ids of the vCPUs that exist at boot, the boot vCPU first. Ids above 254 are left out: the table cannot say them.
    /// </param>
    /// <param name="signature">CPUID leaf 1 EAX of the vCPUs.</param>
    /// <param name="features">CPUID leaf 1 EDX of the vCPUs.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="gpa">Where to start; the table takes the next multiple of 16. Guests look between 0xF0000 and 0x100000.</param>
    /// <param name="limitGpa">First address that must not be reached.</param>
    /// <returns>What was written.</returns>
    /// <exception cref="MachineLayoutException">There is not enough room; nothing was written.</exception>
    public static AddressRange Build(
        MachineProfile profile,
        IReadOnlyList<uint> apicIds,
        uint signature,
        uint features,
        IPhysicalMemory memory,
        ulong gpa = LowMemory.FirmwareTables,
        ulong limitGpa = LowMemory.FirmwareTablesEnd)
    {
        gpa = (gpa + 15) & ~15UL;
        var entries = new TableWriter();
        var count = WriteEntries(entries, profile, apicIds, signature, features);
        var length = HeaderLength + entries.Length;
        var range = new AddressRange(gpa, (ulong)(FloatingPointerLength + length));
        if (range.End > limitGpa)
        {
            throw new MachineLayoutException($"The MP table needs {range.Length} bytes and {limitGpa - gpa} are left for it.");
        }

        var pointer = memory.GetSpan(gpa, FloatingPointerLength);
        pointer.Clear();
        "_MP_"u8.CopyTo(pointer);
        BinaryPrimitives.WriteUInt32LittleEndian(pointer[4..], (uint)gpa + FloatingPointerLength);
        pointer[8] = FloatingPointerLength / 16;
        pointer[9] = SpecificationRevision;
        pointer[10] = Checksum.Of(pointer);

        var table = memory.GetSpan(gpa + FloatingPointerLength, length);
        WriteHeader(table, length, count);
        entries.Written.CopyTo(table[HeaderLength..]);
        table[7] = Checksum.Of(table);
        return range;
    }

    private static void WriteHeader(Span<byte> table, int length, int count)
    {
        table[..HeaderLength].Clear();
        "PCMP"u8.CopyTo(table);
        BinaryPrimitives.WriteUInt16LittleEndian(table[4..], checked((ushort)length));
        table[6] = SpecificationRevision;
        "CNVM    "u8.CopyTo(table[8..]);
        "CNVM        "u8.CopyTo(table[16..]);
        BinaryPrimitives.WriteUInt16LittleEndian(table[34..], checked((ushort)count));
        BinaryPrimitives.WriteUInt32LittleEndian(table[36..], MachineProfile.LocalApicAddress);
    }

    /// <summary>The entries, in the order of their types, which the specification asks for.</summary>
    private static int WriteEntries(TableWriter writer, MachineProfile profile, IReadOnlyList<uint> apicIds, uint signature, uint features)
    {
        var count = 0;
        uint highest = 0;
        for (var i = 0; i < apicIds.Count && apicIds[i] <= MaxApicId; i++, count++)
        {
            highest = Math.Max(highest, apicIds[i]);
            WriteProcessor(writer, (byte)apicIds[i], i == 0, signature, features);
        }

        if (profile.Pci is not null)
        {
            WriteBus(writer, PciBus, "PCI   "u8);
            count++;
        }

        WriteBus(writer, IsaBus, "ISA   "u8);
        count++;

        // IOAPICs share the number space of the local APICs.
        var firstIoApic = (byte)Math.Min(highest + 1, MaxApicId);
        for (var i = 0; i < profile.IoApics.Count; i++, count++)
        {
            WriteIoApic(writer, (byte)(firstIoApic + i), profile.IoApics[i]);
        }

        return count + WriteInterrupts(writer, profile, firstIoApic);
    }

    private static int WriteInterrupts(TableWriter writer, MachineProfile profile, byte ioApic)
    {
        var count = 0;
        if (profile.Pci is { } pci)
        {
            for (var slot = 0; slot < PciLayout.Slots; slot++)
            {
                for (var pin = 0; pin < 4; pin++, count++)
                {
                    WriteInterrupt(
                        writer, EntryIoInterrupt, InterruptVectored, PciBus, (byte)((slot << 2) | pin), ioApic, (byte)pci.GsiOf(slot, pin));
                }
            }
        }

        for (var irq = 0; irq < IsaIrqs; irq++)
        {
            if (irq == CascadeIrq)
            {
                continue;
            }

            var gsi = (uint)irq;
            foreach (var entry in profile.InterruptOverrides)
            {
                gsi = entry.IsaIrq == irq ? entry.Gsi : gsi;
            }

            WriteInterrupt(writer, EntryIoInterrupt, InterruptVectored, IsaBus, (byte)irq, ioApic, (byte)gsi);
            count++;
        }

        if (profile.HasPic)
        {
            WriteInterrupt(writer, EntryLocalInterrupt, InterruptExternal, IsaBus, 0, AllLocalApics, 0);
            count++;
        }

        WriteInterrupt(writer, EntryLocalInterrupt, InterruptNmi, IsaBus, 0, AllLocalApics, 1);
        return count + 1;
    }

    private static void WriteProcessor(TableWriter writer, byte apicId, bool boot, uint signature, uint features)
    {
        writer.Byte(EntryProcessor);
        writer.Byte(apicId);
        writer.Byte(LocalApicVersion);
        writer.Byte((byte)(ProcessorEnabled | (boot ? ProcessorBoot : 0)));
        writer.Dword(signature);
        writer.Dword(features);
        writer.Zeros(8);
    }

    private static void WriteBus(TableWriter writer, byte id, ReadOnlySpan<byte> type)
    {
        writer.Byte(EntryBus);
        writer.Byte(id);
        writer.FixedText(type, 6, (byte)' ');
    }

    private static void WriteIoApic(TableWriter writer, byte id, IoApicLayout ioApic)
    {
        writer.Byte(EntryIoApic);
        writer.Byte(id);
        writer.Byte(IoApicVersion);
        writer.Byte(1); // usable
        writer.Dword(ioApic.Address);
    }

    /// <summary>An interrupt with the polarity and trigger of its bus: ISA active high and edge, PCI active low and level.</summary>
    private static void WriteInterrupt(TableWriter writer, byte entry, byte type, byte bus, byte source, byte apic, byte pin)
    {
        writer.Byte(entry);
        writer.Byte(type);
        writer.Word(0);
        writer.Byte(bus);
        writer.Byte(source);
        writer.Byte(apic);
        writer.Byte(pin);
    }
}
