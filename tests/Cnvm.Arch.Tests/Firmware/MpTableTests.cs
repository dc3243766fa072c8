using System.Buffers.Binary;
using System.Text;
using Cnvm.Arch.Firmware;
using Cnvm.Arch.Machine;
using Xunit;

namespace Cnvm.Arch.Tests.Firmware;

public sealed class MpTableTests
{
    private static readonly int[] EntryLengths = [20, 8, 8, 8, 8];

    private readonly ArrayMemory _memory = new(1 << 20);

    [Fact]
    public void Floating_pointer_leads_to_the_table()
    {
        var range = MpTable.Build(MachineProfile.Microvm, [0, 1], 0x600, 0x1234, _memory, gpa: 0xF0005);

        Assert.Equal(0xF0010UL, range.Start);
        var pointer = _memory.GetSpan(range.Start, 16);
        Assert.Equal("_MP_", Encoding.ASCII.GetString(pointer[..4]));
        Assert.Equal(0, Sum(pointer));
        Assert.Equal(1, pointer[8]);
        Assert.Equal(0xF0020u, BinaryPrimitives.ReadUInt32LittleEndian(pointer[4..]));
        var table = _memory.GetSpan(0xF0020, (int)(range.End - 0xF0020));
        Assert.Equal("PCMP", Encoding.ASCII.GetString(table[..4]));
        Assert.Equal(table.Length, BinaryPrimitives.ReadUInt16LittleEndian(table[4..]));
        Assert.Equal(0, Sum(table));
        Assert.Equal(0xFEE0_0000u, BinaryPrimitives.ReadUInt32LittleEndian(table[36..]));
    }

    [Fact]
    public void Microvm_has_isa_interrupts_with_the_timer_on_pin_2()
    {
        var entries = Entries(MachineProfile.Microvm, [0, 1]);

        Assert.Equal(["0000140300060000341200000000000000000000", "0001140100060000341200000000000000000000"], Hex(entries, 0));
        Assert.Equal(["0101495341202020"], Hex(entries, 1));
        Assert.Equal(["020211010000C0FE"], Hex(entries, 2));
        var interrupts = entries.Where(e => e[0] == 3).ToDictionary(e => e[5], e => e[7]);
        Assert.Equal(15, interrupts.Count);
        Assert.Equal(2, interrupts[0]);
        Assert.False(interrupts.ContainsKey(2));
        Assert.Equal(4, interrupts[4]);
        Assert.Equal(12, interrupts[12]);
        Assert.Equal(["040300000100FF00", "040100000100FF01"], Hex(entries, 4));
    }

    [Fact]
    public void Cloud_routes_pci_pins_too()
    {
        var entries = Entries(MachineProfile.Cloud, [0]);

        Assert.Equal(["0100504349202020", "0101495341202020"], Hex(entries, 1));
        var pci = entries.Where(e => e[0] == 3 && e[4] == 0).ToList();
        Assert.Equal(128, pci.Count);
        Assert.All(pci, e => Assert.Equal(MachineProfile.Cloud.Pci!.GsiOf(e[5] >> 2, e[5] & 3), e[7]));
        Assert.Equal(["040100000100FF01"], Hex(entries, 4));
    }

    [Fact]
    public void Processors_beyond_the_id_space_are_left_out()
    {
        var entries = Entries(MachineProfile.Microvm, [.. Enumerable.Range(0, 300).Select(i => (uint)i)]);
        Assert.Equal(255, entries.Count(e => e[0] == 0));
        Assert.Equal(254, entries.Single(e => e[0] == 2)[1]);
        MpTable.Build(MachineProfile.Cloud, [.. Enumerable.Range(0, 300).Select(i => (uint)i)], 0, 0, _memory, LowMemory.SmbiosEnd);
    }

    [Fact]
    public void Lack_of_room_is_refused() =>
        Assert.Throws<MachineLayoutException>(() => MpTable.Build(MachineProfile.Microvm, [0], 0, 0, _memory, 0xF0000, 0xF0040));

    private List<byte[]> Entries(MachineProfile profile, uint[] apicIds)
    {
        var range = MpTable.Build(profile, apicIds, 0x600, 0x1234, _memory);
        var table = _memory.GetSpan(range.Start + 16, (int)range.Length - 16).ToArray();
        var entries = new List<byte[]>();
        for (var offset = 44; offset < table.Length; offset += EntryLengths[table[offset]])
        {
            entries.Add(table.AsSpan(offset, EntryLengths[table[offset]]).ToArray());
        }

        Assert.Equal(entries.Count, BinaryPrimitives.ReadUInt16LittleEndian(table.AsSpan(34)));
        Assert.Equal(entries.Select(e => e[0]).Order(), entries.Select(e => e[0]));
        return entries;
    }

    private static IEnumerable<string> Hex(List<byte[]> entries, byte type) => entries.Where(e => e[0] == type).Select(Convert.ToHexString);

    private static int Sum(ReadOnlySpan<byte> bytes)
    {
        var sum = 0;
        foreach (var b in bytes)
        {
            sum += b;
        }

        return sum & 0xFF;
    }
}
