using System.Buffers.Binary;
using Cnvm.Arch.Firmware;
using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Acpi;

/// <summary>Puts the ACPI tables of a machine into guest memory.</summary>
public static class AcpiTables
{
    private const int RsdpLength = 36;
    private const ulong TableAlignment = 16;

    /// <summary>Writes RSDP, DSDT, FADT, MADT, MCFG and XSDT, in this order, from <paramref name="rsdpGpa"/> on.</summary>
    /// <param name="machine">What to describe; its profile must have ACPI.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="rsdpGpa">Where the RSDP goes: a multiple of 16.</param>
    /// <param name="limitGpa">First address that the tables must not reach.</param>
    /// <returns>What was written; <see cref="AddressRange.Start"/> is the RSDP.</returns>
    /// <exception cref="MachineLayoutException">The tables need more room; nothing was written.</exception>
    public static AddressRange Build(
        AcpiMachine machine,
        IPhysicalMemory memory,
        ulong rsdpGpa = LowMemory.AcpiTables,
        ulong limitGpa = LowMemory.AcpiTablesEnd)
    {
        var tables = Place(machine, rsdpGpa);
        var end = tables[^1].Gpa + (ulong)tables[^1].Bytes.Length;
        if (end > limitGpa)
        {
            throw new MachineLayoutException(
                $"The ACPI tables need {end - rsdpGpa} bytes and only {limitGpa - rsdpGpa} are reserved for them. "
                + "Use fewer PCI segments or fewer vCPUs.");
        }

        foreach (var (gpa, bytes) in tables)
        {
            bytes.CopyTo(memory.GetSpan(gpa, bytes.Length));
        }

        return AddressRange.Between(rsdpGpa, end);
    }

    /// <summary>The tables with their addresses, ascending; the first is the RSDP.</summary>
    internal static IReadOnlyList<(ulong Gpa, byte[] Bytes)> Place(AcpiMachine machine, ulong rsdpGpa)
    {
        var hardware = machine.Layout.Profile.Acpi
            ?? throw new ArgumentException($"The profile '{machine.Layout.Profile.Name}' has no ACPI.", nameof(machine));
        var placed = new List<(ulong Gpa, byte[] Bytes)> { (rsdpGpa, []) };
        var next = rsdpGpa + RsdpLength;

        ulong Add(byte[] table)
        {
            var gpa = (next + TableAlignment - 1) & ~(TableAlignment - 1);
            placed.Add((gpa, table));
            next = gpa + (ulong)table.Length;
            return gpa;
        }

        var dsdt = Add(Dsdt.Build(machine, hardware));
        var listed = new List<ulong> { Add(Fadt.Build(machine, hardware, dsdt)), Add(Madt.Build(machine)) };
        if (machine.Layout.PciSegments.Count > 0)
        {
            listed.Add(Add(Mcfg.Build(machine.Layout.PciSegments)));
        }

        var xsdt = Add(Xsdt(listed));
        placed[0] = (rsdpGpa, Rsdp(xsdt));
        return placed;
    }

    /// <summary>Extended System Description Table (ACPI 6.5, 5.2.8).</summary>
    private static byte[] Xsdt(List<ulong> tables)
    {
        var writer = new TableWriter();
        AcpiTable.WriteHeader(writer, "XSDT"u8, 1);
        foreach (var table in tables)
        {
            writer.Qword(table);
        }

        return AcpiTable.Finish(writer);
    }

    /// <summary>Root System Description Pointer, revision 2, without an RSDT (5.2.5.3).</summary>
    private static byte[] Rsdp(ulong xsdt)
    {
        var rsdp = new byte[RsdpLength];
        "RSD PTR "u8.CopyTo(rsdp);
        AcpiIdentity.OemId.CopyTo(rsdp.AsSpan(9));
        rsdp[15] = 2;
        BinaryPrimitives.WriteInt32LittleEndian(rsdp.AsSpan(20), RsdpLength);
        BinaryPrimitives.WriteUInt64LittleEndian(rsdp.AsSpan(24), xsdt);
        rsdp[8] = Checksum.Of(rsdp.AsSpan(0, 20)); // the part that ACPI 1.0 knows
        rsdp[32] = Checksum.Of(rsdp);
        return rsdp;
    }
}
