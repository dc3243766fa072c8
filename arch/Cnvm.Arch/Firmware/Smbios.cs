using System.Buffers.Binary;
using System.Text;
using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Firmware;

/// <summary>Puts the SMBIOS tables into guest memory (DMTF DSP0134, version 3.2, with the 64-bit entry point).</summary>
public static class Smbios
{
    private const int EntryPointLength = 24;
    private const int EntryPointRoom = 32;
    private const int MaxString = 1024;

    private const byte TypeBios = 0;
    private const byte TypeSystem = 1;
    private const byte TypeChassis = 3;
    private const byte TypeOemStrings = 11;
    private const byte TypeEnd = 127;

    /// <summary>Writes the entry point and the tables behind it.</summary>
    /// <param name="config">What they say.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="gpa">Where the entry point goes: a multiple of 16 between 0xF0000 and 0x100000, where guests look for it.</param>
    /// <param name="limitGpa">First address that must not be reached.</param>
    /// <returns>What was written.</returns>
    /// <exception cref="MachineLayoutException">A string is not presentable, or all of them need more room; nothing was
    /// written.</exception>
    public static AddressRange Build(
        SmbiosConfig config, IPhysicalMemory memory, ulong gpa = LowMemory.FirmwareTables, ulong limitGpa = LowMemory.SmbiosEnd)
    {
        var tables = BuildTables(config);
        var range = new AddressRange(gpa, (ulong)(EntryPointRoom + tables.Length));
        if (range.End > limitGpa)
        {
            throw new MachineLayoutException(
                $"The SMBIOS tables need {range.Length} bytes and {limitGpa - gpa} are reserved for them. Use fewer or shorter "
                + "OEM strings.");
        }

        var entry = memory.GetSpan(gpa, EntryPointRoom);
        entry.Clear();
        "_SM3_"u8.CopyTo(entry);
        entry[6] = EntryPointLength;
        entry[7] = 3; // major version
        entry[8] = 2; // minor version
        entry[10] = 1; // revision of the entry point
        BinaryPrimitives.WriteInt32LittleEndian(entry[12..], tables.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], gpa + EntryPointRoom);
        entry[5] = Checksum.Of(entry[..EntryPointLength]);
        tables.CopyTo(memory.GetSpan(gpa + EntryPointRoom, tables.Length));
        return range;
    }

    private static byte[] BuildTables(SmbiosConfig config)
    {
        var writer = new TableWriter();
        WriteBios(writer);
        WriteSystem(writer, config);
        WriteChassis(writer, config);
        if (config.OemStrings.Count > 0)
        {
            WriteOemStrings(writer, config.OemStrings);
        }

        WriteHeader(writer, TypeEnd, 4);
        WriteStrings(writer, []);
        return writer.ToArray();
    }

    /// <summary>Type 0 (7.1).</summary>
    private static void WriteBios(TableWriter writer)
    {
        const ulong CharacteristicsUnsupported = 1 << 3;
        const ushort IsVirtualMachine = 1 << 12; // second extension byte, bit 4

        var strings = new List<string>();
        WriteHeader(writer, TypeBios, 0x18);
        writer.Byte(Add(strings, "cnvm"));
        writer.Byte(Add(strings, "1"));
        writer.Word(0); // address segment: none
        writer.Byte(Add(strings, "01/01/2026"));
        writer.Byte(0); // ROM size
        writer.Qword(CharacteristicsUnsupported);
        writer.Word(IsVirtualMachine);
        writer.Byte(0); // system BIOS release
        writer.Byte(0);
        writer.Byte(0xFF); // no embedded controller
        writer.Byte(0xFF);
        WriteStrings(writer, strings);
    }

    /// <summary>Type 1 (7.2).</summary>
    private static void WriteSystem(TableWriter writer, SmbiosConfig config)
    {
        const byte WakeUpPowerSwitch = 6;

        var strings = new List<string>();
        WriteHeader(writer, TypeSystem, 0x1B);
        writer.Byte(Add(strings, config.Manufacturer));
        writer.Byte(Add(strings, config.Product));
        writer.Byte(Add(strings, config.Version));
        writer.Byte(Add(strings, config.SerialNumber));
        writer.Bytes((config.Uuid ?? Guid.Empty).ToByteArray()); // first three fields little-endian, as 7.2.1 has it
        writer.Byte(WakeUpPowerSwitch);
        writer.Byte(Add(strings, config.SkuNumber));
        writer.Byte(Add(strings, config.Family));
        WriteStrings(writer, strings);
    }

    /// <summary>Type 3 (7.4).</summary>
    private static void WriteChassis(TableWriter writer, SmbiosConfig config)
    {
        const byte KindOther = 1;
        const byte StateSafe = 3;
        const byte SecurityUnknown = 2;

        var strings = new List<string>();
        WriteHeader(writer, TypeChassis, 0x15);
        writer.Byte(Add(strings, config.Manufacturer));
        writer.Byte(KindOther);
        writer.Byte(0); // version
        writer.Byte(0); // serial number
        writer.Byte(Add(strings, config.ChassisAssetTag));
        writer.Byte(StateSafe);
        writer.Byte(StateSafe);
        writer.Byte(StateSafe);
        writer.Byte(SecurityUnknown);
        writer.Dword(0);
        writer.Byte(0); // height
        writer.Byte(0); // power cords
        writer.Byte(0); // contained elements
        writer.Byte(0);
        WriteStrings(writer, strings);
    }

    /// <summary>Type 11 (7.12).</summary>
    private static void WriteOemStrings(TableWriter writer, IReadOnlyList<string> oemStrings)
    {
        if (oemStrings.Count > byte.MaxValue)
        {
            throw new MachineLayoutException($"{oemStrings.Count} OEM strings are not possible: at most {byte.MaxValue}.");
        }

        var strings = new List<string>();
        foreach (var text in oemStrings)
        {
            if (Add(strings, text) == 0)
            {
                throw new MachineLayoutException("An OEM string is empty: SMBIOS cannot hold it.");
            }
        }

        WriteHeader(writer, TypeOemStrings, 5);
        writer.Byte((byte)oemStrings.Count);
        WriteStrings(writer, strings);
    }

    private static void WriteHeader(TableWriter writer, byte type, byte length)
    {
        writer.Byte(type);
        writer.Byte(length);
        writer.Word(type); // handles: one structure of each type
    }

    /// <summary>Number of a string in the set behind its structure (6.1.3); 0 for none.</summary>
    private static byte Add(List<string> strings, string? text)
    {
        if (string.IsNullOrEmpty(text))
        {
            return 0;
        }

        if (text.Length > MaxString || text.AsSpan().ContainsAnyExceptInRange(' ', '~'))
        {
            throw new MachineLayoutException($"The SMBIOS string '{text}' is not possible: at most {MaxString} printable ASCII "
                + "characters.");
        }

        strings.Add(text);
        return checked((byte)strings.Count);
    }

    private static void WriteStrings(TableWriter writer, List<string> strings)
    {
        foreach (var text in strings)
        {
            writer.Bytes(Encoding.ASCII.GetBytes(text));
            writer.Byte(0);
        }

        writer.Zeros(strings.Count == 0 ? 2 : 1);
    }
}
