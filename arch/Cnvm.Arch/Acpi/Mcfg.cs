using Cnvm.Arch.Firmware;
using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Acpi;

/// <summary>The table of memory-mapped configuration spaces (PCI Firmware 3.3, 4.1.2): one bus per segment.</summary>
internal static class Mcfg
{
    private const byte Revision = 1;

    public static byte[] Build(IReadOnlyList<PciSegmentWindows> segments)
    {
        var writer = new TableWriter();
        AcpiTable.WriteHeader(writer, "MCFG"u8, Revision);
        writer.Qword(0);
        foreach (var segment in segments)
        {
            writer.Qword(segment.Ecam.Start);
            writer.Word((ushort)segment.Segment);
            writer.Byte(0); // first bus
            writer.Byte(0); // last bus
            writer.Dword(0);
        }

        return AcpiTable.Finish(writer);
    }
}
