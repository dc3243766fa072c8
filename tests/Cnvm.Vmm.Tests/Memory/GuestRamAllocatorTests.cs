using Cnvm.Hypervisor.Memory;
using Cnvm.Vmm.Memory;

namespace Cnvm.Vmm.Tests.Memory;

public sealed class GuestRamAllocatorTests
{
    private const ulong Mib = 1UL << 20;

    [Fact]
    public void Pieces_lie_at_origin_plus_address_and_read_as_zero()
    {
        using GuestMemory memory = GuestRamAllocator.Allocate([new RamPiece(0, 2 * Mib), new RamPiece(16 * Mib, Mib)]);
        Assert.Equal(3 * Mib, memory.Size);
        Assert.Equal((nint)(16 * Mib), memory.Regions[1].HostAddress - memory.Regions[0].HostAddress);
        Assert.Equal(0, memory.GetSpan(16 * Mib, (int)Mib)[^1]);
        memory.GetSpan(0, 8).Fill(7);
        Assert.False(memory.TryGetSpan((2 * Mib) - 4, 8, out _));
        Assert.False(memory.TryGetSpan(15 * Mib, 1, out _));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_piece_that_comes_later_lies_in_the_place_kept_for_it(bool shared)
    {
        using GuestMemory memory = GuestRamAllocator.Allocate(
            [new RamPiece(0, Mib) { Shared = shared }], prefaults: true, 1UL << 40, out GuestAddressSpace space);
        var piece = new RamPiece(1UL << 39, 128 * Mib) { Shared = shared };
        RamRegion region = GuestRamAllocator.Extend(space, piece);
        space.Vacate(region.Gpa, region.Size);
        memory.Add(GuestRamAllocator.Extend(space, piece));
        Assert.Equal(129 * Mib, memory.Size);
        memory.GetSpan(piece.Gpa, (int)piece.Size)[^1] = 5;
        Assert.Equal(shared, memory.Regions[1].BackingFd >= 0);
        Assert.Throws<GuestRamException>(() => GuestRamAllocator.Extend(space, piece with { Gpa = (1UL << 40) - Mib }));
        Assert.Throws<GuestRamException>(() => GuestRamAllocator.Extend(space, piece with { Gpa = 1UL << 41 }));
        Assert.Throws<GuestRamException>(() => GuestRamAllocator.Extend(space, piece with { Gpa = (1UL << 39) + 1 }));
    }

    [Fact]
    public void Shared_memory_has_a_file_that_another_mapping_sees()
    {
        using GuestMemory memory = GuestRamAllocator.Allocate([new RamPiece(0, Mib) { Shared = true }]);
        memory.GetSpan(0x1000, 4).Fill(0x5a);
        byte[] seen = new byte[4];
        using FileStream file = File.OpenRead($"/proc/self/fd/{memory.Regions[0].BackingFd}");
        file.Position = 0x1000;
        file.ReadExactly(seen);
        Assert.All(seen, b => Assert.Equal(0x5a, b));
    }

    [Fact]
    public void A_file_behind_a_zone_keeps_what_the_guest_wrote()
    {
        string path = Path.GetTempFileName();
        try
        {
            using (GuestMemory memory = GuestRamAllocator.Allocate([new RamPiece(0, Mib) { Shared = true, File = path, FileOffset = Mib }]))
            {
                memory.GetSpan(5, 1)[0] = 9;
            }

            Assert.Equal((long)(2 * Mib), new FileInfo(path).Length);
            using FileStream file = File.OpenRead(path);
            file.Position = (long)Mib + 5;
            Assert.Equal(9, file.ReadByte());
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Whatever is behind the memory: zeros for the guest, room for the host, and neighbours untouched.</summary>
    [Theory]
    [InlineData("private")]
    [InlineData("shared")]
    [InlineData("file")]
    [InlineData("private file")]
    [InlineData("image")]
    public void Released_pages_read_as_zero(string kind)
    {
        string path = Path.GetTempFileName();
        try
        {
            byte[] old = new byte[Mib];
            Array.Fill(old, (byte)0x11);
            File.WriteAllBytes(path, old);
            RamPiece first = kind switch
            {
                "shared" => new RamPiece(0, Mib) { Shared = true },
                "file" => new RamPiece(0, Mib) { Shared = true, File = path },
                "private file" => new RamPiece(0, Mib) { File = path },
                "image" => new RamPiece(0, Mib) { Image = path },
                _ => new RamPiece(0, Mib),
            };
            using GuestMemory memory = GuestRamAllocator.Allocate([first, new RamPiece(Mib, Mib)]);
            memory.GetSpan(0, (int)(2 * Mib)).Fill(0x5a);
            memory.StartDirtyTracking();

            // Across the two pieces, and rounded inward.
            Assert.Equal(0x4000UL, memory.TryRelease(Mib - 0x2fff, 0x2fff + 0x2fff));
            Assert.Equal(0x1000UL, memory.TryRelease(0x5000, 0x1000));
            Assert.Equal(0UL, memory.TryRelease(0x7001, 0x1ffe));
            Assert.Equal(0x1000UL, memory.TryRelease((2 * Mib) - 0x1000, ulong.MaxValue));
            Assert.Equal(0UL, memory.TryRelease(2 * Mib, 0x1000));
            Assert.Equal(0UL, memory.TryRelease(ulong.MaxValue - 1, ulong.MaxValue));
            AssertFilled(memory, 0, 0x5000, 0x5a);
            AssertFilled(memory, 0x5000, 0x1000, 0);
            AssertFilled(memory, 0x6000, (int)Mib - 0x8000, 0x5a);
            AssertFilled(memory, Mib - 0x2000, 0x4000, 0);
            AssertFilled(memory, Mib + 0x2000, (int)Mib - 0x3000, 0x5a);
            var dirty = new DirtyBitmap(memory.Regions);
            memory.CollectDeviceWrites(dirty);
            Assert.Equal(6, dirty.CountPages());

            // They can be used again.
            memory.GetSpan(0x5000, 0x1000).Fill(3);
            AssertFilled(memory, 0x5000, 0x1000, 3);
            if (kind == "file")
            {
                byte[] now = File.ReadAllBytes(path);
                Assert.Equal((3, 0x5a, 0), (now[0x5000], now[0x4fff], now[Mib - 0x2000]));
            }
            else if (kind != "shared")
            {
                Assert.Equal(old, File.ReadAllBytes(path));
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Replaced_mappings_have_an_end()
    {
        string path = Path.GetTempFileName();
        try
        {
            const ulong Size = 80 * Mib;
            using (FileStream file = File.OpenWrite(path))
            {
                file.SetLength((long)Size);
            }

            using GuestMemory memory = GuestRamAllocator.Allocate([new RamPiece(0, Size) { Image = path }]);
            int released = 0;
            for (ulong gpa = 0; gpa < Size; gpa += 0x2000)
            {
                released += memory.TryRelease(gpa, 0x1000) != 0 ? 1 : 0;
            }

            // Every second page of 80 MiB would be 10240 of them, and as many holes between.
            Assert.Equal(8192, released);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static void AssertFilled(GuestMemory memory, ulong gpa, int bytes, byte value) =>
        Assert.False(memory.GetSpan(gpa, bytes).ContainsAnyExcept(value), $"0x{gpa:x}");

    [Fact]
    public void A_folder_gives_a_file_without_a_name()
    {
        string folder = Directory.CreateTempSubdirectory("cnvm-ram").FullName;
        try
        {
            using GuestMemory memory = GuestRamAllocator.Allocate([new RamPiece(0, Mib) { Shared = true, File = folder }]);
            memory.GetSpan(0, 1)[0] = 1;
            Assert.Empty(Directory.GetFiles(folder));
        }
        finally
        {
            Directory.Delete(folder);
        }
    }

    [Fact]
    public void What_the_host_cannot_give_is_refused_with_its_size()
    {
        // 2^46 bytes, accounted for in full, is beyond any test machine.
        GuestRamException refused = Assert.Throws<GuestRamException>(
            () => GuestRamAllocator.Allocate([new RamPiece(0, 1UL << 46) { Reserve = true }]));
        Assert.Contains("MiB", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        GuestRamException refused = Assert.Throws<GuestRamException>(
            () => GuestRamAllocator.Allocate([new RamPiece(0, Mib) { ZoneId = "z0", File = "/nowhere/at/all" }]));
        Assert.Contains("memory zone z0", refused.Message, StringComparison.Ordinal);
        Assert.Contains("/nowhere/at/all", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sizes_must_be_whole_pages() =>
        Assert.Throws<GuestRamException>(() => GuestRamAllocator.Allocate([new RamPiece(0, Mib + 1)]));
}
