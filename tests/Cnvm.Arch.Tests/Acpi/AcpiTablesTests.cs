using System.Buffers.Binary;
using System.Text;
using Cnvm.Arch.Acpi;
using Cnvm.Arch.Acpi.Aml;
using Cnvm.Arch.Machine;
using Xunit;
using static Cnvm.Arch.Acpi.Aml.AmlBuilder;

namespace Cnvm.Arch.Tests.Acpi;

public sealed class AcpiTablesTests
{
    private const ulong Rsdp = LowMemory.AcpiTables;

    [Fact]
    public void Every_table_is_reached_from_the_rsdp_and_sums_to_zero()
    {
        var memory = new ArrayMemory(1 << 20);
        var range = AcpiTables.Build(Cloud(segments: 3), memory);

        Assert.Equal(Rsdp, range.Start);
        var rsdp = memory.GetSpan(Rsdp, 36);
        Assert.Equal("RSD PTR ", Encoding.ASCII.GetString(rsdp[..8]));
        Assert.Equal(0, Sum(rsdp[..20]));
        Assert.Equal(0, Sum(rsdp));
        Assert.Equal(2, rsdp[15]);

        var xsdt = Table(memory, BinaryPrimitives.ReadUInt64LittleEndian(rsdp[24..]), "XSDT");
        var signatures = new List<string>();
        for (var offset = 36; offset < xsdt.Length; offset += 8)
        {
            var gpa = BinaryPrimitives.ReadUInt64LittleEndian(xsdt.AsSpan(offset));
            Assert.Equal(0UL, gpa % 16);
            Assert.InRange(gpa, range.Start, range.End - 1);
            signatures.Add(Encoding.ASCII.GetString(memory.GetSpan(gpa, 4)));
            Table(memory, gpa, signatures[^1]);
        }

        Assert.Equal(["FACP", "APIC", "MCFG"], signatures);
    }

    [Fact]
    public void Fadt_is_hardware_reduced_and_points_at_the_registers_of_the_profile()
    {
        var fadt = Built(Cloud(), "FACP");

        Assert.Equal(276, fadt.Length);
        Assert.Equal(6, fadt[8]);
        var flags = U32(fadt, 112);
        Assert.NotEqual(0u, flags & (1u << 20));
        Assert.NotEqual(0u, flags & (1u << 10));
        Assert.Equal(0x608u, U32(fadt, 76));
        Assert.Equal(4, fadt[91]);
        Assert.Equal("01080001" + "0006000000000000", Convert.ToHexString(fadt, 116, 12));
        Assert.Equal(1, fadt[128]);
        Assert.Equal("01200003" + "0806000000000000", Convert.ToHexString(fadt, 208, 12));
        Assert.Equal("01080001" + "0006000000000000", Convert.ToHexString(fadt, 244, 12));
        Assert.Equal("01080001" + "0006000000000000", Convert.ToHexString(fadt, 256, 12));
        Assert.Equal("CNVM    ", Encoding.ASCII.GetString(fadt, 268, 8));
        Assert.NotEqual(0UL, BinaryPrimitives.ReadUInt64LittleEndian(fadt.AsSpan(140)));
        Assert.Equal(1 << 5, fadt[109] & (1 << 5));
        Assert.Equal(0, Built(Cloud() with { HasRtc = true }, "FACP")[109] & (1 << 5));
    }

    [Fact]
    public void Fadt_of_microvm_uses_memory_registers_and_no_pm_timer()
    {
        var fadt = Built(Microvm(), "FACP");

        Assert.Equal(0u, U32(fadt, 76));
        Assert.Equal(0, fadt[91]);
        Assert.Equal("000800010002A0FE00000000", Convert.ToHexString(fadt, 116, 12));
        Assert.Equal(1, fadt[128]);
        Assert.Equal("000000000000000000000000", Convert.ToHexString(fadt, 208, 12));
    }

    [Fact]
    public void Madt_uses_x2apic_entries_only_from_id_255_on()
    {
        var ids = Enumerable.Range(0, 300).Select(i => (uint)i).ToArray();
        var entries = MadtEntries(Built(Cloud() with { ApicIds = ids, BootVcpus = 298 }, "APIC"));

        var xapic = entries.Where(e => e[0] == 0).ToList();
        var x2apic = entries.Where(e => e[0] == 9).ToList();
        Assert.Equal(255, xapic.Count);
        Assert.Equal(45, x2apic.Count);
        Assert.Equal(254, xapic[^1][3]);
        Assert.Equal(255u, U32(x2apic[0], 4));
        Assert.Equal(255u, U32(x2apic[0], 12));
        Assert.All(xapic, e => Assert.Equal(1u, U32(e, 4)));
        Assert.Equal(1u, U32(x2apic[42], 8));
        Assert.Equal(2u, U32(x2apic[43], 8)); // vCPU 298 does not exist at boot
        Assert.Single(entries, e => e[0] == 0x0A);
    }

    [Fact]
    public void Madt_has_ioapic_overrides_and_nmi()
    {
        var cloud = MadtEntries(Built(Cloud(), "APIC"));
        Assert.Equal(["010C00000000C0FE00000000"], Hex(cloud, 1));
        Assert.Equal(["020A000404000000" + "0000"], Hex(cloud, 2));
        Assert.Equal(["0406FF000001"], Hex(cloud, 4));

        var table = Built(Microvm(), "APIC");
        Assert.Equal(1u, U32(table, 40));
        Assert.Equal(["020A0000020000000000", "020A0004040000000000"], Hex(MadtEntries(table), 2));
    }

    [Fact]
    public void Mcfg_has_a_bus_for_each_segment()
    {
        var mcfg = Built(Cloud(segments: 96), "MCFG");

        Assert.Equal(44 + (96 * 16), mcfg.Length);
        Assert.Equal(0xE800_0000UL, BinaryPrimitives.ReadUInt64LittleEndian(mcfg.AsSpan(44)));
        var last = mcfg.AsSpan(44 + (95 * 16));
        Assert.Equal(0xE800_0000UL + (95UL << 20), BinaryPrimitives.ReadUInt64LittleEndian(last));
        Assert.Equal(95, BinaryPrimitives.ReadUInt16LittleEndian(last[8..]));
        Assert.Equal(0, last[10] | last[11]);
    }

    [Fact]
    public void Tables_that_do_not_fit_are_refused_before_anything_is_written()
    {
        var memory = new ArrayMemory(1 << 20);

        Assert.Throws<MachineLayoutException>(() => AcpiTables.Build(Cloud(segments: 96), memory, Rsdp, Rsdp + 4096));
        Assert.Equal(0, Sum(memory.GetSpan(Rsdp, 0x10000)));
    }

    [Fact]
    public void The_largest_machine_fits_into_the_low_area()
    {
        var ids = Enumerable.Range(0, 1024).Select(i => (uint)i).ToArray();
        var machine = Cloud(segments: 96) with
        {
            ApicIds = ids,
            BootVcpus = 1024,
            Objects =
            [
                MemoryHotplugDevice.Object(0xFF_FFEF_0040),
                PciHotplugDevice.Object(0xFF_FFEF_0010, Enumerable.Range(0, 96)),
                GenerationDevice.Object(LowMemory.GenerationId),
                ClockPageDevice.Object(LowMemory.ClockPage),
            ],
            HostBridgeObjects = Slots(96),
        };
        var range = AcpiTables.Build(machine, new ArrayMemory(1 << 20));
        Assert.InRange(range.End, Rsdp, LowMemory.AcpiTablesEnd);

        // With vCPUs that come and go there is no room for so many segments.
        machine = Cloud(segments: 32) with { ApicIds = ids, Objects = CpuHotplugDevice.Objects(0xFF_FFEF_0020, ids), HostBridgeObjects = Slots(32) };
        Assert.InRange(AcpiTables.Build(machine, new ArrayMemory(1 << 20)).End, Rsdp, LowMemory.AcpiTablesEnd);
    }

    [SkippableTheory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(96)]
    public void Dsdt_of_cloud_survives_iasl(int segments)
    {
        Iasl.SkipIfMissing();
        var machine = Cloud(segments) with
        {
            HasRtc = true,
            PvpanicPort = 0x505,
            Events = [new GedEvent(1, Call(@"\_SB.SCAN")), MemoryHotplugDevice.Event, PciHotplugDevice.Event, GenerationDevice.Event, ClockPageDevice.Event],
            Objects =
            [
                Method("SCAN", 0),
                MemoryHotplugDevice.Object(0xFF_FFEF_0040),
                PciHotplugDevice.Object(0xFF_FFEF_0010, Enumerable.Range(0, segments)),
                GenerationDevice.Object(LowMemory.GenerationId),
                ClockPageDevice.Object(LowMemory.ClockPage),
            ],
            HostBridgeObjects = Slots(segments),
        };
        var source = RoundTrip(Built(machine, "DSDT"));

        Assert.Equal(segments, CountOf(source, "EisaId (\"PNP0A08\")"));
        Assert.Contains("Device (PC00)", source, StringComparison.Ordinal);
        Assert.Contains("Name (_SEG, Zero)", source, StringComparison.Ordinal);
        Assert.Contains("Device (COM1)", source, StringComparison.Ordinal);
        Assert.Contains("Device (RTC0)", source, StringComparison.Ordinal);
        Assert.Contains("Device (PEVT)", source, StringComparison.Ordinal);
        Assert.Contains("Name (\\_S5, Package", source, StringComparison.Ordinal);
        Assert.Contains("OperationRegion (EREG, SystemMemory, 0x000000FFFFEF0000, One)", source, StringComparison.Ordinal);
        Assert.Contains(@"Notify (\_SB.PWRB, 0x80)", source, StringComparison.Ordinal);
        Assert.Contains(@"\_SB.SCAN ()", source, StringComparison.Ordinal);
        Assert.Contains(@"\_SB.PHPR.PSCN ()", source, StringComparison.Ordinal);
        Assert.Contains("OperationRegion (PCST, SystemMemory, 0x000000FFFFEF0010, 0x10)", source, StringComparison.Ordinal);
        Assert.Contains($@"\_SB.PC{segments - 1:X2}.PCNT ()", source, StringComparison.Ordinal);
        Assert.Equal((32 * segments) - 1, CountOf(source, "Method (_EJ0, 1"));
        Assert.Contains("Notify (S031, Arg1)", source, StringComparison.Ordinal);
        Assert.Contains(@"\_SB.MHPC.MSCN ()", source, StringComparison.Ordinal);
        Assert.Contains("OperationRegion (MHPR, SystemMemory, 0x000000FFFFEF0040, 0x18)", source, StringComparison.Ordinal);
        Assert.Equal(MemoryHotplugDevice.Slots, CountOf(source, "EisaId (\"PNP0C80\")"));
        Assert.Contains("Notify (M007, One)", source, StringComparison.Ordinal);
        Assert.Contains("QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite", source, StringComparison.Ordinal);
        Assert.Contains("Name (_CID, \"VM_Gen_Counter\")", source, StringComparison.Ordinal);
        Assert.Contains("0x000EF000", source, StringComparison.Ordinal);
        Assert.Contains(@"Notify (\_SB.VGEN, 0x80)", source, StringComparison.Ordinal);
        Assert.Contains("Name (_HID, \"AMZNC10C\")", source, StringComparison.Ordinal);
        Assert.Contains("Name (_CID, \"VMCLOCK\")", source, StringComparison.Ordinal);
        Assert.Contains(@"Notify (\_SB.VCLK, 0x80)", source, StringComparison.Ordinal);
        Assert.Contains("QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadOnly", source, StringComparison.Ordinal);
        Assert.Contains("0x00000000000EE000, // Range Minimum", source, StringComparison.Ordinal);
        Assert.Contains("0x00000000000EEFFF, // Range Maximum", source, StringComparison.Ordinal);
        Assert.Contains(
            "DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite", source, StringComparison.Ordinal);
        Assert.Contains(
            "QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite", source, StringComparison.Ordinal);
    }

    [SkippableTheory]
    [InlineData(2)]
    [InlineData(300)]
    public void Dsdt_with_vCPUs_that_come_and_go_survives_iasl(int vcpus)
    {
        Iasl.SkipIfMissing();
        var ids = CpuTopology.Flat(vcpus).ApicIds();
        var machine = Cloud() with
        {
            ApicIds = ids,
            BootVcpus = 1,
            Events = [CpuHotplugDevice.Event],
            Objects = CpuHotplugDevice.Objects(0xFF_FFEF_0020, ids),
        };
        var source = RoundTrip(Built(machine, "DSDT"));

        Assert.Contains("OperationRegion (PRST, SystemMemory, 0x000000FFFFEF0020, 0x0C)", source, StringComparison.Ordinal);
        Assert.Contains(@"\_SB.CPUS.CSCN ()", source, StringComparison.Ordinal);
        Assert.Equal(vcpus, CountOf(source, "Name (_HID, \"ACPI0007\""));
        Assert.Equal(vcpus, CountOf(source, "Name (_MAT, Buffer"));
        Assert.Equal(vcpus - 1, CountOf(source, "Method (_EJ0, 1"));
        Assert.Contains($"Notify (C{vcpus - 1:X3}, Arg1)", source, StringComparison.Ordinal);
        Assert.Contains("CEJ0,   1", source, StringComparison.Ordinal);
        Assert.Equal(vcpus == 300 ? 1 : 0, CountOf(source, "CEJC (0x012B)"));
    }

    [SkippableFact]
    public void Dsdt_of_microvm_declares_its_transports()
    {
        Iasl.SkipIfMissing();
        var source = RoundTrip(Built(Microvm() with { HasRtc = true, VirtioMmioTransports = [0, 7] }, "DSDT"));

        Assert.Equal(2, CountOf(source, "\"LNRO0005\""));
        Assert.Contains("Device (VR07)", source, StringComparison.Ordinal);
        Assert.Contains("0xFEB00E00,         // Address Base", source, StringComparison.Ordinal);
        Assert.Contains("0x00000017,", source, StringComparison.Ordinal);
        Assert.DoesNotContain("PNP0A08", source, StringComparison.Ordinal);
        Assert.Contains("OperationRegion (EREG, SystemMemory, 0xFEA00000, One)", source, StringComparison.Ordinal);
    }

    [SkippableTheory]
    [InlineData("FACP")]
    [InlineData("APIC")]
    [InlineData("MCFG")]
    public void Data_tables_survive_iasl(string signature)
    {
        Iasl.SkipIfMissing();
        using var iasl = new Iasl();
        var ids = Enumerable.Range(0, 300).Select(i => (uint)i).ToArray();
        var table = Built(Cloud(segments: 2) with { ApicIds = ids, BootVcpus = 300 }, signature);
        var source = iasl.Disassemble(table, signature);

        Assert.DoesNotContain("Unknown", source, StringComparison.Ordinal);
        Assert.DoesNotContain("Incorrect checksum", source, StringComparison.Ordinal);
        var again = iasl.Compile(signature);
        AssertSameTable(table, again);
    }

    /// <summary>A method with every statement of the builder; iasl must read back what was meant.</summary>
    [SkippableFact]
    public void Every_statement_is_understood_by_iasl()
    {
        Iasl.SkipIfMissing();
        AmlTerm[] objects =
        [
            Mutex("MTX0"),
            OperationRegion("REGS", AmlAddressSpace.SystemIo, 0x700, 8),
            Field("REGS", AmlFieldAccess.Byte, AmlFieldUpdate.Preserve, Unit("RG00", 8), Skip(8), Unit("RG01", 3), Unit("RG02", 5)),
            Name("BUF0", Buffer([1, 2, 3, 4, 5, 6, 7, 8])),
            Name("PKG0", Package(1, Text("two"), Package(3))),
            Name("UUID", Uuid(new Guid("e5c937d0-3553-4d7a-9117-ea4d19c3434d"))),
            SerializedMethod(
                "TEST",
                2,
                Acquire("MTX0"),
                Store(0, Local(0)),
                Store(0, Local(1)),
                While(
                    Less(Local(0), SizeOf(Path("PKG0"))),
                    If(LogicalAnd(Equal(Local(0), 1), LogicalNot(Greater(Arg(0), 5))), Break()),
                    Else(Store(DerefOf(Index(Path("PKG0"), Local(0))), Local(1))),
                    Increment(Local(0))),
                CreateDwordField(Path("BUF0"), 4, "DW04"),
                CreateQwordField(Path("BUF0"), 0, "QW00"),
                Store(Or(ShiftLeft(Arg(0), 4), ShiftRight(Arg(1), 2)), Path("DW04")),
                Store(Add(Subtract(Arg(0), 1), Multiply(Arg(1), 3)), Local(2)),
                Decrement(Local(2)),
                If(LogicalOr(Local(2), Arg(0)), Store(ToInteger(Arg(1)), Path("RG00"))),
                Notify(Path(@"\_SB.PWRB"), 0x80),
                Release("MTX0"),
                Return(Add(Local(1), Local(2)))),
        ];
        using var iasl = new Iasl();
        var source = iasl.Disassemble(Built(Cloud() with { Objects = objects }, "DSDT"), "dsdt");
        iasl.Compile("dsdt");

        Assert.Contains("While ((Local0 < SizeOf (PKG0)))", source, StringComparison.Ordinal);
        Assert.Contains("If (((Local0 == One) && (Arg0 <= 0x05)))", source, StringComparison.Ordinal);
        Assert.Contains("Acquire (MTX0, 0xFFFF)", source, StringComparison.Ordinal);
        Assert.Contains("DW04 = ((Arg0 << 0x04) | (Arg1 >> 0x02))", source, StringComparison.Ordinal);
        Assert.Contains("CreateQWordField (BUF0, Zero, QW00)", source, StringComparison.Ordinal);
        Assert.Contains("RG02,   5", source, StringComparison.Ordinal);
        Assert.Contains("e5c937d0-3553-4d7a-9117-ea4d19c3434d", source, StringComparison.Ordinal);
    }

    private static string RoundTrip(byte[] dsdt)
    {
        using var iasl = new Iasl();
        var source = iasl.Disassemble(dsdt, "dsdt");
        AssertSameTable(dsdt, iasl.Compile("dsdt"));
        return source;
    }

    /// <summary>Equal but for the checksum and the compiler's own name and version in the header.</summary>
    private static void AssertSameTable(byte[] expected, byte[] actual)
    {
        expected = [.. expected];
        actual = [.. actual];
        foreach (var table in new[] { expected, actual })
        {
            table[9] = 0;
            table.AsSpan(28, 8).Clear();
        }

        Assert.Equal(Convert.ToHexString(expected), Convert.ToHexString(actual));
    }

    private static Dictionary<int, IReadOnlyList<AmlTerm>> Slots(int segments) =>
        Enumerable.Range(0, segments).ToDictionary(s => s, PciHotplugDevice.SlotObjects);

    private static AcpiMachine Cloud(int segments = 1) => new()
    {
        Layout = PhysicalLayout.Plan(
            MachineProfile.Cloud, 1UL << 30, 40, segments: [.. Enumerable.Repeat(PciSegmentWeights.Equal, segments)]),
        ApicIds = [0, 1],
        BootVcpus = 2,
        HasSerial = true,
    };

    private static AcpiMachine Microvm() => new()
    {
        Layout = PhysicalLayout.Plan(MachineProfile.MicrovmAcpi, 128UL << 20, 40),
        ApicIds = [0],
        BootVcpus = 1,
        HasSerial = true,
    };

    private static byte[] Built(AcpiMachine machine, string signature) =>
        AcpiTables.Place(machine, Rsdp).Select(t => t.Bytes).Single(b => Encoding.ASCII.GetString(b, 0, 4) == signature);

    private static byte[] Table(ArrayMemory memory, ulong gpa, string signature)
    {
        var header = memory.GetSpan(gpa, 36);
        Assert.Equal(signature, Encoding.ASCII.GetString(header[..4]));
        var table = memory.GetSpan(gpa, BinaryPrimitives.ReadInt32LittleEndian(header[4..])).ToArray();
        Assert.Equal(0, Sum(table));
        return table;
    }

    private static List<byte[]> MadtEntries(byte[] madt)
    {
        var entries = new List<byte[]>();
        for (var offset = 44; offset < madt.Length; offset += madt[offset + 1])
        {
            entries.Add(madt.AsSpan(offset, madt[offset + 1]).ToArray());
        }

        return entries;
    }

    private static IEnumerable<string> Hex(List<byte[]> entries, byte type) =>
        entries.Where(e => e[0] == type).Select(Convert.ToHexString);

    private static int Sum(ReadOnlySpan<byte> bytes)
    {
        var sum = 0;
        foreach (var b in bytes)
        {
            sum += b;
        }

        return sum & 0xFF;
    }

    private static int CountOf(string text, string part) => text.Split(part).Length - 1;

    private static uint U32(byte[] table, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(table.AsSpan(offset));
}
