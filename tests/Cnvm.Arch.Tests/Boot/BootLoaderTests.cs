using System.Buffers.Binary;
using System.Text;
using Cnvm.Arch.Boot;
using Cnvm.Arch.Machine;
using Xunit;

namespace Cnvm.Arch.Tests.Boot;

public sealed partial class BootLoaderTests
{
    private const int RamSize = 64 << 20;
    private const ulong Rsdp = 0xA0000;

    private readonly ArrayMemory _memory = new(RamSize);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Pvh_kernel_is_loaded_and_entered_in_protected_mode(bool longDescriptor)
    {
        var file = TestKernels.Elf(pvh: true, longDescriptor);
        _memory.GetSpan(TestKernels.ElfAddress, 0x4000).Fill(0xEE);
        var result = Load(file, initramfs: new byte[5000], commandLine: "console=ttyS0");

        Assert.Equal(BootProtocol.Pvh, result.Protocol);
        Assert.Equal(new AddressRange(TestKernels.ElfAddress, 0x2300), result.Kernel);
        Assert.True(_memory.GetSpan(TestKernels.ElfAddress, 0x300).SequenceEqual(file.AsSpan(0x200, 0x300)));
        Assert.False(_memory.GetSpan(TestKernels.ElfAddress + 0x300, 0xD00).ContainsAnyExcept((byte)0));
        Assert.Equal(0xEE, _memory.GetSpan(TestKernels.ElfAddress + 0x1000, 1)[0]);
        Assert.True(_memory.GetSpan(TestKernels.ElfAddress + 0x2000, 0x300).SequenceEqual(file.AsSpan(0x500, 0x300)));

        var general = result.Entry.General;
        Assert.Equal(TestKernels.PvhEntry, general.Rip);
        Assert.Equal(LowMemory.HvmStartInfo, general.Rbx);
        Assert.Equal(2UL, general.Rflags);
        var system = result.Entry.System;
        Assert.Equal(0x11UL, system.Cr0);
        Assert.Equal(0UL, system.Cr4);
        Assert.Equal(0UL, system.Efer);
        Assert.True(system.Cs is { Default: true, Long: false, Granularity: true, Present: true, NonSystem: true });
        Assert.True(system.Cs is { Type: 0xB, Limit: 0xFFFF_FFFF, Base: 0 });
        Assert.True(system.Ds is { Type: 3, Limit: 0xFFFF_FFFF, Base: 0, Present: true });
        Assert.Equal(system.Ds, system.Ss);
        Assert.True(system.Tr is { Type: 0xB, NonSystem: false, Limit: 0x67, Present: true });
        Assert.True(system.Ldt.IsUnusable);
    }

    [Fact]
    public void Hvm_start_info_points_at_map_module_command_line_and_rsdp()
    {
        Load(TestKernels.Elf(pvh: true), initramfs: [1, 2, 3], commandLine: "quiet");

        var info = _memory.GetSpan(0x6000, 56);
        Assert.Equal("78C56E33" + "01000000" + "00000000" + "01000000", Convert.ToHexString(info[..16]));
        Assert.Equal(0x6040UL, U64(info, 16));
        Assert.Equal(0x20000UL, U64(info, 24));
        Assert.Equal(Rsdp, U64(info, 32));
        Assert.Equal(0x7000UL, U64(info, 40));
        Assert.Equal(4u, U32(info, 48));
        Assert.Equal(0u, U32(info, 52));

        var module = _memory.GetSpan(0x6040, 32);
        Assert.Equal((ulong)RamSize - 4096, U64(module, 0));
        Assert.Equal(3UL, U64(module, 8));
        Assert.Equal("010203", Convert.ToHexString(_memory.GetSpan(U64(module, 0), 3)));
        Assert.Equal("quiet\0", Encoding.ASCII.GetString(_memory.GetSpan(0x20000, 6)));

        var map = _memory.GetSpan(0x7000, 4 * 24);
        Assert.Equal((0UL, 0xA0000UL, 1u), (U64(map, 0), U64(map, 8), U32(map, 16)));
        Assert.Equal((0xA0000UL, 0x60000UL, 2u), (U64(map, 24), U64(map, 32), U32(map, 40)));
        Assert.Equal((0x100000UL, (ulong)RamSize - 0x100000, 1u), (U64(map, 48), U64(map, 56), U32(map, 64)));
        Assert.Equal((0xE8000000UL, 1UL << 20, 2u), (U64(map, 72), U64(map, 80), U32(map, 88)));
    }

    [Fact]
    public void Without_an_initramfs_there_is_no_module()
    {
        Load(TestKernels.Elf(pvh: true));

        Assert.Equal(0u, U32(_memory.GetSpan(0x6000, 56), 12));
        Assert.Equal(0UL, U64(_memory.GetSpan(0x6000, 56), 16));
    }

    [Fact]
    public void Fresh_memory_is_not_touched_beyond_the_file()
    {
        _memory.GetSpan(TestKernels.ElfAddress, 0x1000).Fill(0xEE);
        Load(TestKernels.Elf(pvh: true), configure: r => r with { MemoryIsZero = true });
        Assert.Equal(0xEE, _memory.GetSpan(TestKernels.ElfAddress + 0x300, 1)[0]);
    }

    [Theory]
    [InlineData(false, BootProtocol.Auto)]
    [InlineData(true, BootProtocol.Linux64)]
    public void Elf_is_entered_in_long_mode_without_pvh_or_when_asked(bool pvh, BootProtocol asked)
    {
        var result = Load(TestKernels.Elf(pvh), initramfs: [9], commandLine: "x", configure: r => r with { Protocol = asked });

        Assert.Equal(BootProtocol.Linux64, result.Protocol);
        Assert.Equal(TestKernels.ElfAddress + 0x10, result.Entry.General.Rip);
        AssertLongMode(result);
        var page = _memory.GetSpan(0x7000, 4096);
        Assert.Equal(0xAA55, BinaryPrimitives.ReadUInt16LittleEndian(page[0x1FE..]));
        Assert.Equal("HdrS", Encoding.ASCII.GetString(page.Slice(0x202, 4)));
        AssertZeroPage(page, result);
    }

    [Theory]
    [InlineData(true, BootProtocol.Linux64)]
    [InlineData(false, BootProtocol.Linux32)]
    public void BzImage_is_entered_where_its_header_allows(bool entry64, BootProtocol expected)
    {
        var file = TestKernels.BzImage(entry64: entry64);
        var result = Load(file, initramfs: [9], commandLine: "x");

        Assert.Equal(expected, result.Protocol);
        Assert.Null(result.UnpackedByHost);
        Assert.Equal(new AddressRange(0x100_0000, 0x20_0000), result.Kernel);
        Assert.True(_memory.GetSpan(0x100_0000, file.Length - 2048).SequenceEqual(file.AsSpan(2048)));
        Assert.Equal(0x7000UL, result.Entry.General.Rsi);
        if (entry64)
        {
            Assert.Equal(0x100_0200UL, result.Entry.General.Rip);
            AssertLongMode(result);
        }
        else
        {
            Assert.Equal(0x100_0000UL, result.Entry.General.Rip);
            Assert.Equal(0x11UL, result.Entry.System.Cr0);
            Assert.Equal(0x10, result.Entry.System.Cs.Selector);
            Assert.Equal(0x18, result.Entry.System.Ss.Selector);
            Assert.True(result.Entry.System.Cs.Default);
        }

        var page = _memory.GetSpan(0x7000, 4096);
        Assert.True(page.Slice(0x202, 8).SequenceEqual(file.AsSpan(0x202, 8)));
        Assert.Equal(2047u, U32(page, 0x238));
        Assert.Equal(0UL, U64(page, 0x250));
        Assert.Equal(0, page[0x26C]);
        AssertZeroPage(page, result);
    }

    [Fact]
    public void A_kernel_that_cannot_be_moved_goes_to_one_mebibyte()
    {
        var result = Load(TestKernels.BzImage(relocatable: false, entry64: false));

        Assert.Equal(0x10_0000UL, result.Entry.General.Rip);
        Assert.Equal(AddressRange.Between(0x10_0000, 0x120_0000), result.Kernel);
        Assert.Equal(0x10_0000u, U32(_memory.GetSpan(0x7000, 4096), 0x214));
    }

    [Fact]
    public void Gdt_in_memory_agrees_with_the_segment_registers()
    {
        foreach (var kernel in new[] { TestKernels.Elf(pvh: true), TestKernels.Elf(pvh: false) })
        {
            var system = Load(kernel).Entry.System;
            var gdt = _memory.GetSpan(system.Gdt.Base, system.Gdt.Limit + 1);
            foreach (var segment in new[] { system.Cs, system.Ds, system.Tr })
            {
                var descriptor = U64(gdt, segment.Selector);
                Assert.Equal(segment.Attributes, (uint)(descriptor >> 40) & 0xF0FF);
                var limit = (uint)((descriptor & 0xFFFF) | ((descriptor >> 32) & 0xF0000));
                Assert.Equal(segment.Limit, segment.Granularity ? (limit << 12) | 0xFFF : limit);
            }
        }
    }

    [Fact]
    public void Packed_kernel_is_unpacked_by_the_host()
    {
        var elf = TestKernels.Elf(pvh: true);
        var result = Load(TestKernels.BzImage(TestKernels.Gzip(elf)), initramfs: [1], commandLine: "a");

        Assert.Equal(BootProtocol.Pvh, result.Protocol);
        Assert.Equal(CompressionFormat.Gzip, result.UnpackedByHost);
        Assert.Equal(TestKernels.PvhEntry, result.Entry.General.Rip);
        Assert.True(_memory.GetSpan(TestKernels.ElfAddress, 0x300).SequenceEqual(elf.AsSpan(0x200, 0x300)));
        Assert.True(_memory.GetSpan(TestKernels.ElfAddress + 0x2000, 0x300).SequenceEqual(elf.AsSpan(0x500, 0x300)));
    }

    [Fact]
    public void Packed_kernel_without_pvh_takes_the_64_bit_entry_of_the_elf_inside()
    {
        var result = Load(TestKernels.BzImage(TestKernels.Gzip(TestKernels.Elf(pvh: false))));

        Assert.Equal(BootProtocol.Linux64, result.Protocol);
        Assert.Equal(TestKernels.ElfAddress + 0x10, result.Entry.General.Rip);
    }

    [Fact]
    public void Packed_kernel_stays_packed_when_its_own_entry_is_asked_for()
    {
        var file = TestKernels.BzImage(TestKernels.Gzip(TestKernels.Elf(pvh: true)));
        var result = Load(file, configure: r => r with { Protocol = BootProtocol.Linux32 });

        Assert.Equal(BootProtocol.Linux32, result.Protocol);
        Assert.Null(result.UnpackedByHost);
        Assert.Equal(0x100_0000UL, result.Entry.General.Rip);
    }

    [Fact]
    public void Decompressor_from_above_is_asked_for_foreign_formats()
    {
        byte[] payload = [0x28, 0xB5, 0x2F, 0xFD, 0, 0, 0, 0];
        var decompressor = new FixedDecompressor(TestKernels.Elf(pvh: true));
        var result = Load(TestKernels.BzImage(payload), configure: r => r with { Decompressor = decompressor });

        Assert.Equal(CompressionFormat.Zstd, result.UnpackedByHost);
        Assert.Equal(BootProtocol.Pvh, result.Protocol);
        Assert.Equal(payload, decompressor.Seen);
        Assert.Equal(BootProtocol.Linux64, Load(TestKernels.BzImage(payload)).Protocol);
    }

    [Fact]
    public void Damaged_payload_is_reported()
    {
        var packed = TestKernels.Gzip(TestKernels.Elf(pvh: true));
        packed.AsSpan(20, 40).Fill(0xFF);
        Assert.Throws<KernelLoadException>(() => Load(TestKernels.BzImage(packed)));
    }

    [Fact]
    public void Initramfs_stays_below_what_the_kernel_can_reach()
    {
        var file = TestKernels.BzImage();
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(0x22C), 0x17F_FFFF);
        Assert.Equal(new AddressRange(0x17F_F000, 1), Load(file, initramfs: [1]).Initramfs);
    }

    public static TheoryData<string, Action<byte[]>, string> BadElf { get; } = new()
    {
        { "class", f => f[4] = 1, "another machine" },
        { "machine", f => f[18] = 183, "another machine" },
        { "type", f => f[16] = 1, "not an executable" },
        { "no segments", f => f[56] = 0, "program headers" },
        { "many segments", f => f[57] = 1, "program headers" },
        { "header size", f => f[54] = 32, "program headers" },
        { "header offset", f => f[33] = 0x80, "truncated" },
        { "huge header offset", f => f[39] = 0xFF, "e_phoff" },
        { "segment outside the file", f => f[64 + 8 + 3] = 1, "truncated" },
        { "file size wraps", f => f[64 + 32 + 7] = 0xFF, "truncated" },
        { "more in file than in memory", f => f[64 + 40 + 1] = 0, "puts" },
        { "address wraps", f => f.AsSpan(64 + 24, 8).Fill(0xFF), "puts" },
        { "below one MiB", f => f.AsSpan(120 + 24, 8).Clear(), "below 1 MiB" },
        { "above RAM", f => f[120 + 24 + 3] = 0x80, "more memory" },
        { "bss larger than RAM", f => f[120 + 40 + 4] = 1, "more memory" },
        { "overlap", f => f[120 + 24 + 1] = 0x0F, "overlap" },
        { "pvh entry outside", f => f[0x280 + 39] = 0x20, "PVH entry" },
        { "notes too long", f => { f[176 + 32 + 2] = 1; f[176 + 8] = 0; }, "truncated" },
    };

    private static void AssertRefused(string expected, Action load) =>
        Assert.Contains(expected, Assert.Throws<KernelLoadException>(load).Message, StringComparison.Ordinal);

    private static void AssertZeroPage(ReadOnlySpan<byte> page, BootResult result)
    {
        Assert.Equal(0xFF, page[0x210]);
        Assert.Equal(0x20000u, U32(page, 0x228));
        Assert.Equal((uint)result.Initramfs.Start, U32(page, 0x218));
        Assert.Equal(1u, U32(page, 0x21C));
        Assert.Equal(Rsdp, U64(page, 0x70));
        Assert.Equal(4, page[0x1E8]);
        Assert.Equal((0UL, 0xA0000UL, 1u), (U64(page, 0x2D0), U64(page, 0x2D8), U32(page, 0x2E0)));
        Assert.Equal((0x100000UL, (ulong)RamSize - 0x100000, 1u), (U64(page, 0x2F8), U64(page, 0x300), U32(page, 0x308)));
        Assert.Equal(0, page[0x1EF]); // sentinel
    }

    private void AssertLongMode(BootResult result)
    {
        var system = result.Entry.System;
        Assert.Equal(0x7000UL, result.Entry.General.Rsi);
        Assert.Equal(0x8000_0011UL, system.Cr0);
        Assert.Equal(0x20UL, system.Cr4);
        Assert.Equal(0x500UL, system.Efer);
        Assert.True(system.Cs is { Long: true, Default: false, Selector: 0x10 });
        Assert.Equal(0x18, system.Ds.Selector);
        foreach (var address in new ulong[] { 0x7000, 0x100_0200, 0xFFFF_FFFF, 0x8123_4567 })
        {
            Assert.Equal(address, Translate(system.Cr3, address));
        }
    }

    /// <summary>Walks the page tables as a processor does (SDM vol. 3, 4.5): every level present and writable, 2 MiB pages.</summary>
    private ulong Translate(ulong cr3, ulong address)
    {
        var table = cr3;
        foreach (var shift in new[] { 39, 30 })
        {
            var entry = U64(_memory.GetSpan(table + (((address >> shift) & 511) * 8), 8), 0);
            Assert.Equal(3UL, entry & 0xFFF);
            table = entry & ~0xFFFUL;
        }

        var page = U64(_memory.GetSpan(table + (((address >> 21) & 511) * 8), 8), 0);
        Assert.Equal(0x83UL, page & 0x1F_FFFF);
        return (page & ~0x1F_FFFFUL) | (address & 0x1F_FFFF);
    }

    private BootResult Load(
        byte[] kernel, byte[]? initramfs = null, string commandLine = "", Func<BootRequest, BootRequest>? configure = null)
    {
        var request = new BootRequest
        {
            Kernel = new ByteKernelFile(kernel),
            Initramfs = initramfs is null ? null : new ByteKernelFile(initramfs, "test-initramfs"),
            CommandLine = commandLine,
            Layout = PhysicalLayout.Plan(MachineProfile.Cloud, RamSize, 40),
            RsdpAddress = Rsdp,
        };
        return BootLoader.Load(configure?.Invoke(request) ?? request, _memory);
    }

    private static uint U32(ReadOnlySpan<byte> span, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(span[offset..]);

    private static ulong U64(ReadOnlySpan<byte> span, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(span[offset..]);

    private sealed class FixedDecompressor(byte[] output) : IDecompressor
    {
        public byte[] Seen { get; private set; } = [];

        public Stream Open(CompressionFormat format, Stream compressed)
        {
            using var copy = new MemoryStream();
            compressed.CopyTo(copy);
            Seen = copy.ToArray();
            return new MemoryStream(output);
        }
    }
}
