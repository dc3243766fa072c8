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
