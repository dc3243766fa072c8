using System.Buffers.Binary;
using System.Text;
using Cnvm.Arch.Firmware;
using Cnvm.Arch.Machine;
using Xunit;

namespace Cnvm.Arch.Tests.Firmware;

public sealed class SmbiosTests
{
    private readonly ArrayMemory _memory = new(1 << 20);

    [Fact]
    public void Entry_point_is_found_and_sums_to_zero()
    {
        var range = Smbios.Build(new SmbiosConfig(), _memory);

        var entry = _memory.GetSpan(0xF0000, 24);
        Assert.Equal("_SM3_", Encoding.ASCII.GetString(entry[..5]));
        Assert.Equal(24, entry[6]);
        Assert.Equal(0, entry.ToArray().Sum(b => b) & 0xFF);
        Assert.Equal(0xF0020UL, BinaryPrimitives.ReadUInt64LittleEndian(entry[16..]));
        Assert.Equal(range.End, 0xF0020UL + BinaryPrimitives.ReadUInt32LittleEndian(entry[12..]));
    }

    [Fact]
    public void Identity_reaches_the_guest()
    {
        var uuid = new Guid("00112233-4455-6677-8899-aabbccddeeff");
        var structures = Structures(new SmbiosConfig
        {
            SerialNumber = "serial-7",
            Version = "v2",
            Family = "fam",
            SkuNumber = "sku",
            ChassisAssetTag = "tag",
            Uuid = uuid,
            OemStrings = ["first", "second=2"],
        });

        Assert.Equal([0, 1, 3, 11, 127], structures.Select(s => (int)s.Type));
        var (_, system, strings) = structures[1];
        Assert.Equal("33221100554477668899AABBCCDDEEFF", Convert.ToHexString(system, 8, 16));
        Assert.Equal("cnvm", strings[system[4] - 1]);
        Assert.Equal("cnvm", strings[system[5] - 1]);
        Assert.Equal("v2", strings[system[6] - 1]);
        Assert.Equal("serial-7", strings[system[7] - 1]);
        Assert.Equal("sku", strings[system[0x19] - 1]);
        Assert.Equal("fam", strings[system[0x1A] - 1]);
        Assert.Equal("tag", structures[2].Strings[structures[2].Formatted[8] - 1]);
        var (_, oem, oemStrings) = structures[3];
        Assert.Equal(2, oem[4]);
        Assert.Equal(["first", "second=2"], oemStrings);
        Assert.Equal(0x10, structures[0].Formatted[0x13] & 0x10); // a virtual machine
    }

    [Fact]
    public void Without_oem_strings_the_structure_is_absent() =>
        Assert.Equal([0, 1, 3, 127], Structures(new SmbiosConfig()).Select(s => (int)s.Type));

    [Theory]
    [InlineData("")]
    [InlineData("tab\t")]
    [InlineData("caf\u00e9")]
    [InlineData("nul\0")]
    public void Strings_that_smbios_cannot_hold_are_refused(string text)
    {
        Assert.Throws<MachineLayoutException>(() => Smbios.Build(new SmbiosConfig { OemStrings = [text] }, _memory));
        Assert.Equal(0, _memory.GetSpan(0xF0000, 5)[0]);
    }

    [Fact]
    public void Too_much_is_refused()
    {
        Assert.Throws<MachineLayoutException>(() => Smbios.Build(new SmbiosConfig { SerialNumber = new string('x', 1025) }, _memory));
        var many = Enumerable.Repeat("x", 256).ToArray();
        Assert.Throws<MachineLayoutException>(() => Smbios.Build(new SmbiosConfig { OemStrings = many }, _memory));
        var large = Enumerable.Repeat(new string('x', 255), 255).ToArray();
        Assert.Contains("OEM", Assert.Throws<MachineLayoutException>(
            () => Smbios.Build(new SmbiosConfig { OemStrings = large }, _memory)).Message, StringComparison.Ordinal);
    }

    private List<(byte Type, byte[] Formatted, List<string> Strings)> Structures(SmbiosConfig config)
    {
        var range = Smbios.Build(config, _memory);
        var bytes = _memory.GetSpan(0xF0020, (int)(range.End - 0xF0020)).ToArray();
        var structures = new List<(byte, byte[], List<string>)>();
        var handles = new HashSet<int>();
        for (var offset = 0; offset < bytes.Length;)
        {
            var formatted = bytes.AsSpan(offset, bytes[offset + 1]).ToArray();
            Assert.True(handles.Add(BinaryPrimitives.ReadUInt16LittleEndian(formatted.AsSpan(2))));
            offset += formatted.Length;
            var strings = new List<string>();
            if (bytes[offset] == 0)
            {
                offset++;
            }

            while (bytes[offset] != 0)
            {
                var end = Array.IndexOf(bytes, (byte)0, offset);
                strings.Add(Encoding.ASCII.GetString(bytes, offset, end - offset));
                offset = end + 1;
            }

            offset++;
            structures.Add((formatted[0], formatted, strings));
        }

        return structures;
    }
}
