using Cnvm.Arch.Firmware;
using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Acpi;

/// <summary>The Multiple APIC Description Table (ACPI 6.5, 5.2.12): processors, IOAPICs, interrupt overrides.</summary>
internal static class Madt
{
    private const byte Revision = 5;
    private const uint FlagPcAtCompatible = 1;

    private const uint ProcessorEnabled = 1;
    private const uint ProcessorOnlineCapable = 2;

    // APIC id 255 is the broadcast id of xAPIC: from there on only x2APIC entries are possible.
    private const uint FirstX2ApicId = 255;

    private const uint AllProcessors8 = 0xFF;
    private const uint AllProcessors32 = 0xFFFF_FFFF;
    private const byte NmiLint = 1;

    public static byte[] Build(AcpiMachine machine)
    {
        var profile = machine.Layout.Profile;
        var writer = new TableWriter();
        AcpiTable.WriteHeader(writer, "APIC"u8, Revision);
        writer.Dword(MachineProfile.LocalApicAddress);
        writer.Dword(profile.HasPic ? FlagPcAtCompatible : 0);

        var needX2Apic = false;
        for (var i = 0; i < machine.ApicIds.Count; i++)
        {
            var flags = i < machine.BootVcpus ? ProcessorEnabled : ProcessorOnlineCapable;
            needX2Apic |= machine.ApicIds[i] >= FirstX2ApicId;
            WriteProcessor(writer, (uint)i, machine.ApicIds[i], flags);
        }

        for (var i = 0; i < profile.IoApics.Count; i++)
        {
            WriteIoApic(writer, (byte)i, profile.IoApics[i]);
        }

        foreach (var entry in profile.InterruptOverrides)
        {
            WriteOverride(writer, entry);
        }

        WriteNmi(writer, needX2Apic);
        return AcpiTable.Finish(writer);
    }

    /// <summary>The entry of a processor that is there.</summary>
    public static byte[] EnabledProcessor(uint uid, uint apicId)
    {
        var writer = new TableWriter();
        WriteProcessor(writer, uid, apicId, ProcessorEnabled);
        return writer.ToArray();
    }

    private static void WriteProcessor(TableWriter writer, uint uid, uint apicId, uint flags)
    {
        if (apicId < FirstX2ApicId && uid < AllProcessors8)
        {
            writer.Byte(0x00); // Processor Local APIC
            writer.Byte(8);
            writer.Byte((byte)uid);
            writer.Byte((byte)apicId);
            writer.Dword(flags);
            return;
        }

        writer.Byte(0x09); // Processor Local x2APIC
        writer.Byte(16);
        writer.Word(0);
        writer.Dword(apicId);
        writer.Dword(flags);
        writer.Dword(uid);
    }

    private static void WriteIoApic(TableWriter writer, byte id, IoApicLayout ioApic)
    {
        writer.Byte(0x01);
        writer.Byte(12);
        writer.Byte(id);
        writer.Byte(0);
        writer.Dword(ioApic.Address);
        writer.Dword(ioApic.GsiBase);
    }

    private static void WriteOverride(TableWriter writer, InterruptOverride entry)
    {
        writer.Byte(0x02);
        writer.Byte(10);
        writer.Byte(0); // ISA
        writer.Byte(entry.IsaIrq);
        writer.Dword(entry.Gsi);
        writer.Word(0); // polarity and trigger as the bus has them: active high, edge
    }

    private static void WriteNmi(TableWriter writer, bool needX2Apic)
    {
        writer.Byte(0x04); // Local APIC NMI
        writer.Byte(6);
        writer.Byte((byte)AllProcessors8);
        writer.Word(0);
        writer.Byte(NmiLint);
        if (!needX2Apic)
        {
            return;
        }

        writer.Byte(0x0A); // Local x2APIC NMI
        writer.Byte(12);
        writer.Word(0);
        writer.Dword(AllProcessors32);
        writer.Byte(NmiLint);
        writer.Zeros(3);
    }
}
