using Cnvm.Arch.Machine;
using Xunit;

namespace Cnvm.Arch.Tests.Machine;

public sealed class PhysicalLayoutTests
{
    private const ulong MiB = 1UL << 20;
    private const ulong GiB = 1UL << 30;

    [Theory]
    [InlineData(128 * MiB, 1, 128 * MiB)]
    [InlineData(3 * GiB, 1, 3 * GiB)]
    [InlineData((3 * GiB) + 4096, 2, (4 * GiB) + 4096)]
    [InlineData(5 * GiB, 2, 6 * GiB)]
    public void Ram_continues_above_the_hole(ulong size, int regions, ulong end)
    {
        var layout = PhysicalLayout.Plan(MachineProfile.Cloud, size, 40);

        Assert.Equal(regions, layout.RamRegions.Count);
        Assert.Equal(end, layout.RamEnd);
        Assert.Equal(size, layout.RamRegions.Aggregate(0UL, (sum, r) => sum + r.Length));
        Assert.All(layout.RamRegions, r => Assert.False(r.Overlaps(AddressRange.Between(3 * GiB, 4 * GiB))));
    }

    [Theory]
    [InlineData(0UL, 40)]
    [InlineData(MiB, 40)]
    [InlineData((64 * MiB) + 1, 40)]
    [InlineData(1UL << 40, 40)]
    [InlineData(ulong.MaxValue & ~4095UL, 52)]
    [InlineData(64 * GiB, 36)]
    [InlineData(128 * MiB, 35)]
    [InlineData(128 * MiB, 53)]
    public void Absurd_sizes_are_refused(ulong size, int physicalBits)
    {
        var refusal = Assert.Throws<MachineLayoutException>(() => PhysicalLayout.Plan(MachineProfile.Cloud, size, physicalBits));
        Assert.Contains(physicalBits is < 36 or > 52 ? "address bits" : "RAM", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Hotplug_memory_lies_between_ram_and_the_pci_window()
    {
        var layout = PhysicalLayout.Plan(MachineProfile.Cloud, 5 * GiB, 40, hotplugBytes: 2 * GiB);

        Assert.Equal(new AddressRange(6 * GiB, 2 * GiB), layout.HotplugRam);
        Assert.Equal(8 * GiB, layout.PciSegments[0].Mmio64.Start);
        Assert.Throws<MachineLayoutException>(() => PhysicalLayout.Plan(MachineProfile.Cloud, GiB, 40, hotplugBytes: MiB));
        Assert.Throws<MachineLayoutException>(() => PhysicalLayout.Plan(MachineProfile.Cloud, GiB, 40, hotplugBytes: 1UL << 63));
    }

    [Theory]
    [InlineData(256 * MiB, 128 * MiB, 36)]
    [InlineData(3 * GiB, 8 * GiB, 40)]
    [InlineData(7 * GiB, 512 * GiB, 46)]
    public void Room_for_more_memory_is_no_ram_yet_and_in_nobodys_way(ulong ram, ulong more, int physicalBits)
    {
        var layout = PhysicalLayout.Plan(MachineProfile.Cloud, ram, physicalBits, hotplugBytes: more);

        Assert.Equal(more, layout.HotplugRam.Length);
        Assert.Equal(0UL, layout.HotplugRam.Start % (2 * GiB));
        Assert.All(layout.RamRegions, r => Assert.False(r.Overlaps(layout.HotplugRam)));
        Assert.All(layout.BuildMemoryMap(), e => Assert.False(e.Range.Overlaps(layout.HotplugRam)));
        Assert.All(layout.PciSegments, s => Assert.InRange(s.Mmio64.Start, layout.HotplugRam.End, layout.Platform.Start));
        Assert.True(layout.Platform.Contains(layout.MemoryHotplugAddress));
        Assert.NotEqual(0UL, PhysicalLayout.Plan(MachineProfile.MicrovmAcpi, ram, physicalBits, more).MemoryHotplugAddress);
        Assert.Equal(0UL, PhysicalLayout.Plan(MachineProfile.Microvm, ram, physicalBits, more).MemoryHotplugAddress);
        Assert.Equal(0UL, PhysicalLayout.Plan(MachineProfile.Cloud, ram, physicalBits).MemoryHotplugAddress);
    }

    [Fact]
    public void Room_that_the_address_bits_do_not_have_is_refused() =>
        Assert.Contains(
            "hotplug_size",
            Assert.Throws<MachineLayoutException>(() => PhysicalLayout.Plan(MachineProfile.Cloud, GiB, 36, hotplugBytes: 60 * GiB)).Message,
            StringComparison.Ordinal);

    [Theory]
    [InlineData(1, 40)]
    [InlineData(2, 40)]
    [InlineData(96, 40)]
    [InlineData(96, 36)]
    [InlineData(96, 48)]
    public void Windows_of_segments_are_disjoint_and_inside(int count, int physicalBits)
    {
        var layout = PhysicalLayout.Plan(
            MachineProfile.Cloud, 2 * GiB, physicalBits, segments: [.. Enumerable.Repeat(PciSegmentWeights.Equal, count)]);

        Assert.Equal(count, layout.PciSegments.Count);
        var all = new List<AddressRange>(layout.RamRegions)
        {
            layout.Platform,
            new(0xFEC0_0000, 0x1000),
            new(MachineProfile.KvmTssAddress, 0x4000),
        };
        foreach (var segment in layout.PciSegments)
        {
            Assert.NotEqual(0UL, segment.Mmio32.Length);
            Assert.NotEqual(0UL, segment.Mmio64.Length);
            Assert.InRange(segment.Mmio32.End, 3 * GiB, 0xE800_0000UL);
            Assert.InRange(segment.Mmio64.Start, 4 * GiB, layout.Platform.Start);
            all.AddRange([segment.Ecam, segment.Mmio32, segment.Mmio64]);
        }

        all.Sort((a, b) => a.Start.CompareTo(b.Start));
        for (var i = 1; i < all.Count; i++)
        {
            Assert.False(all[i - 1].Overlaps(all[i]), $"{all[i - 1]} overlaps {all[i]}");
        }
    }

    [Fact]
    public void Weights_divide_the_windows()
    {
        var layout = PhysicalLayout.Plan(MachineProfile.Cloud, GiB, 40, segments: [new(1, 3), new(3, 1)]);

        Assert.Equal(layout.PciSegments[0].Mmio32.Length * 3, layout.PciSegments[1].Mmio32.Length);
        Assert.Equal(layout.PciSegments[0].Mmio64.Length, layout.PciSegments[1].Mmio64.Length * 3);
    }

    [Theory]
    [InlineData(0, 1u)]
    [InlineData(97, 1u)]
    [InlineData(1, 0u)]
    [InlineData(2, uint.MaxValue)]
    public void Impossible_segments_are_refused(int count, uint weight) =>
        Assert.Throws<MachineLayoutException>(() => PhysicalLayout.Plan(
            MachineProfile.Cloud, GiB, 40, segments: [.. Enumerable.Repeat(new PciSegmentWeights(weight, weight), count)]));

    [Fact]
    public void Platform_registers_are_the_last_mebibyte()
    {
        var layout = PhysicalLayout.Plan(MachineProfile.Cloud, GiB, 46);

        Assert.Equal((1UL << 46) - (64 << 10), layout.Platform.End);
        Assert.Equal(layout.Platform.Start, layout.GedAddress);
        Assert.Equal(0xFEA0_0000UL, PhysicalLayout.Plan(MachineProfile.MicrovmAcpi, GiB, 46).GedAddress);
        Assert.Equal(0UL, PhysicalLayout.Plan(MachineProfile.Microvm, GiB, 46).GedAddress);
    }

    [Fact]
    public void Memory_map_covers_ram_and_reserves_the_rest()
    {
        var map = PhysicalLayout.Plan(MachineProfile.Cloud, 5 * GiB, 40, segments: [PciSegmentWeights.Equal, PciSegmentWeights.Equal])
            .BuildMemoryMap();

        Assert.Equal(
            [
                new(new AddressRange(0, 0xA0000), MemoryMapType.Ram),
                new(AddressRange.Between(0xA0000, 0x100000), MemoryMapType.Reserved),
                new(AddressRange.Between(0x100000, 3 * GiB), MemoryMapType.Ram),
                new(new AddressRange(0xE800_0000, 2 * MiB), MemoryMapType.Reserved),
                new(AddressRange.Between(4 * GiB, 6 * GiB), MemoryMapType.Ram),
            ],
            map);
        Assert.Equal(3, PhysicalLayout.Plan(MachineProfile.Microvm, GiB, 40).BuildMemoryMap().Count);
    }

    [Fact]
    public void Microvm_transports_are_where_qemu_has_them()
    {
        var legacy = MachineProfile.Microvm.VirtioMmio!;
        Assert.Equal("virtio_mmio.device=512@0xfeb00000:5", legacy.CommandLineOf(0));
        Assert.Equal("virtio_mmio.device=512@0xfeb00e00:12", legacy.CommandLineOf(7));
        Assert.Throws<ArgumentOutOfRangeException>(() => legacy.GsiOf(8));
        Assert.Equal(23u, MachineProfile.MicrovmAcpi.VirtioMmio!.GsiOf(7));
    }

    [Fact]
    public void Intx_pins_rotate_over_the_slots()
    {
        var pci = MachineProfile.Cloud.Pci!;
        Assert.Equal(16u, pci.GsiOf(0, 0));
        Assert.Equal(19u, pci.GsiOf(0, 3));
        Assert.Equal(17u, pci.GsiOf(1, 0));
        Assert.Equal(16u, pci.GsiOf(8, 0));
        Assert.Equal(18u, pci.GsiOf(31, 3));
    }
}
