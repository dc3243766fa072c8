using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Vmm.Tests.Snapshot;

public sealed class MemoryFileTests : IDisposable
{
    private const ulong Size = 5 << 20;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-memory-").FullName;

    private string FilePath => Path.Combine(_folder, "m");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(MemoryRestoreMode.Copy)]
    [InlineData(MemoryRestoreMode.OnDemand)]
    public void Contents_come_back_and_zeros_take_no_space(MemoryRestoreMode mode)
    {
        (MemoryState state, byte[] contents) = Save();
        Assert.Equal((long)Size, new FileInfo(FilePath).Length);
        using GuestMemory memory = Load(new MemoryImage(FilePath, state, mode, prefault: false));
        Assert.Equal(contents, memory.GetSpan(0, (int)Size).ToArray());

        // The guest's writes stay its own.
        memory.GetSpan(0, 1)[0] ^= 0xff;
        using GuestMemory again = Load(new MemoryImage(FilePath, state, mode, prefault: false));
        Assert.Equal(contents[0], again.GetSpan(0, 1)[0]);
    }

    [SkippableFact]
    public void Compressed_contents_come_back_by_copy_and_zeros_take_no_space()
    {
        (MemoryState state, byte[] contents) = Save(compress: true);
        Assert.Equal(state.Zstd!.Frames.Sum(f => (long)f), new FileInfo(FilePath).Length);
        Assert.InRange(new FileInfo(FilePath).Length, 0x1_3000, 0x2_0000);
        ulong[] expected = [.. contents.Chunk((int)state.ChunkBytes).Select(c => (ulong)Crc32C.Of(c))];
        Assert.Equal(expected, state.Ranges[0].Checksums);
        using GuestMemory memory = Load(new MemoryImage(FilePath, state, MemoryRestoreMode.Copy, prefault: false));
        Assert.Equal(contents, memory.GetSpan(0, (int)Size).ToArray());
        var onDemand = new MemoryImage(FilePath, state, MemoryRestoreMode.OnDemand, false);
        Assert.Contains("use Copy", Assert.Throws<MachineBuildException>(() => onDemand.Place([new RamPiece(0, Size)])).Message, StringComparison.Ordinal);
        byte[] whole = File.ReadAllBytes(FilePath);
        for (int at = 0; at < whole.Length; at += 1009)
        {
            byte[] damaged = [.. whole];
            damaged[at] ^= 0x10;
            File.WriteAllBytes(FilePath, damaged);
            var e = Assert.Throws<SnapshotException>(() => Load(new MemoryImage(FilePath, state, MemoryRestoreMode.Copy, false)));
            Assert.Contains($"{FilePath} is damaged", e.Message, StringComparison.Ordinal);
        }

        File.WriteAllBytes(FilePath, whole[..^1]);
        Assert.Contains(
            "cut off", Assert.Throws<SnapshotException>(() => Load(new MemoryImage(FilePath, state, MemoryRestoreMode.Copy, false))).Message, StringComparison.Ordinal);
    }

    /// <summary>What is filled before the guest runs has to be there; holes and what comes later need not.</summary>
    [SkippableTheory]
    [InlineData(MemoryRestoreMode.Copy, false, false)]
    [InlineData(MemoryRestoreMode.Copy, false, true)]
    [InlineData(MemoryRestoreMode.Copy, true, false)]
    [InlineData(MemoryRestoreMode.OnDemand, true, false)]
    [InlineData(MemoryRestoreMode.OnDemand, false, false)]
    public void A_host_without_room_for_it_refuses_by_name(MemoryRestoreMode mode, bool prefault, bool compress)
    {
        Skip.If(compress && !Cnvm.Linux.Zstd.IsAvailable, "there is no libzstd");
        (MemoryState state, _) = Save(compress);
        RamPiece[] plan = [new RamPiece(0, Size)];
        Assert.Empty(new MemoryImage(FilePath, state, mode, prefault, () => Size).Obstacles(plan));
        var poor = new MemoryImage(FilePath, state, mode, prefault, () => 4096);
        if (mode == MemoryRestoreMode.OnDemand && !prefault)
        {
            Assert.Empty(poor.Obstacles(plan));
            return;
        }

        string refused = Assert.Single(poor.Obstacles(plan));
        Assert.Contains("this host has 0 MiB left", refused, StringComparison.Ordinal);
        Assert.Contains(prefault ? "without prefault" : "memory_restore_mode OnDemand", refused, StringComparison.Ordinal);
    }

    [Fact]
    public void Checksums_are_those_of_the_contents()
    {
        (MemoryState state, byte[] contents) = Save();
        ulong[] expected = [.. contents.Chunk((int)state.ChunkBytes).Select(c => (ulong)Crc32C.Of(c))];
        Assert.Equal(expected, state.Ranges[0].Checksums);
    }

    [Fact]
    public void A_flipped_bit_anywhere_is_refused_with_its_place()
    {
        (MemoryState state, _) = Save();
        foreach (int at in new[] { 0, 0x1234, 3 << 20, (int)Size - 1 })
        {
            byte[] bytes = File.ReadAllBytes(FilePath);
            bytes[at] ^= 0x10;
            string damaged = Path.Combine(_folder, "damaged");
            File.WriteAllBytes(damaged, bytes);
            var e = Assert.Throws<SnapshotException>(() => Load(new MemoryImage(damaged, state, MemoryRestoreMode.Copy, false)));
            Assert.Contains($"{damaged} is damaged", e.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_missing_or_short_file_is_refused()
    {
        (MemoryState state, _) = Save();
        Assert.Throws<SnapshotException>(() => Load(new MemoryImage(Path.Combine(_folder, "none"), state, MemoryRestoreMode.Copy, false)));
        using (var file = File.OpenHandle(FilePath, FileMode.Open, FileAccess.Write))
        {
            RandomAccess.SetLength(file, (long)Size - 4096);
        }

        Assert.Contains("cut off", Assert.Throws<SnapshotException>(() => Load(new MemoryImage(FilePath, state, MemoryRestoreMode.Copy, false))).Message, StringComparison.Ordinal);
        Assert.Contains("too short", Assert.Throws<GuestRamException>(() => Load(new MemoryImage(FilePath, state, MemoryRestoreMode.OnDemand, false))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Other_memory_is_refused()
    {
        (MemoryState state, _) = Save();
        var image = new MemoryImage(FilePath, state, MemoryRestoreMode.Copy, false);
        Assert.Throws<MachineBuildException>(() => image.Place([new RamPiece(0, Size * 2)]));
        Assert.Throws<MachineBuildException>(() => image.Place([new RamPiece(0, Size), new RamPiece(Size * 2, Size)]));
        Assert.Throws<MachineBuildException>(() => image.Place([new RamPiece(0, Size) { ZoneId = "other" }]));
        var onDemand = new MemoryImage(FilePath, state, MemoryRestoreMode.OnDemand, false);
        Assert.Throws<MachineBuildException>(() => onDemand.Place([new RamPiece(0, Size) { Shared = true }]));
    }

    /// <summary>Extents that are asked for once, chunk by chunk, are those of the file, wherever chunks begin and end.</summary>
    [Theory]
    [InlineData(4096)]
    [InlineData(3 * 4096)]
    [InlineData(2 << 20)]
    [InlineData(16 << 20)]
    public void Extents_are_found_chunk_by_chunk(int chunk)
    {
        Save();
        using var file = File.OpenHandle(FilePath);
        byte[] contents = File.ReadAllBytes(FilePath);
        byte[] seen = new byte[contents.Length];
        var extents = new DataExtents(file);
        for (int from = 0; from < contents.Length; from += chunk)
        {
            long end = Math.Min(from + chunk, contents.Length);
            for (long at = from; extents.TryFind(at, end, out long start, out long length); at = start + length)
            {
                Assert.True(length > 0 && start >= at && start + length <= end);
                contents.AsSpan((int)start, (int)length).CopyTo(seen.AsSpan((int)start));
            }
        }

        Assert.Equal(contents, seen);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_is_restored_on_demand_is_loaded_and_compared_in_the_background(bool prefault)
    {
        (MemoryState state, byte[] contents) = Save();
        var image = new MemoryImage(FilePath, state, MemoryRestoreMode.OnDemand, prefault);
        using GuestMemory memory = Load(image);

        // What the guest has written meanwhile is no damage.
        memory.GetSpan(0x2000, 1)[0] ^= 1;
        contents[0x2000] ^= 1;
        var damages = new List<string>();
        using BackgroundLoad load = image.LoadInBackground(memory, damages.Add, NullLogger.Instance)!;

        // Nor is what stands under the file's name by then.
        File.Move(FilePath, FilePath + ".old");
        File.WriteAllBytes(FilePath, new byte[Size]);
        load.Start();
        Assert.True(SpinWait.SpinUntil(() => load.HasEnded, TimeSpan.FromSeconds(60)));
        Assert.Empty(damages);
        Assert.Equal((long)Size, load.Verified);
        Assert.InRange(load.Loaded, prefault ? 0 : 0x3000 + 0x1_0000 + 0x1000, prefault ? 0 : (long)Size);
        Assert.Equal(contents, memory.GetSpan(0, (int)Size).ToArray());
        Assert.Null(new MemoryImage(FilePath, state, MemoryRestoreMode.Copy, prefault: false).LoadInBackground(memory, damages.Add, NullLogger.Instance));
    }

    /// <summary>In data and in holes, in the first chunk, in the middle and in the last, which is shorter.</summary>
    [Theory]
    [InlineData(0x1234, 0, 2 << 20, false)]
    [InlineData(3 << 20, 2 << 20, 4 << 20, false)]
    [InlineData((int)Size - 1, 4 << 20, (int)Size, false)]
    [InlineData((int)Size - 1, 4 << 20, (int)Size, true)]
    public void What_was_restored_on_demand_from_a_damaged_file_is_told_once_with_its_place(int at, int from, int end, bool prefault)
    {
        (MemoryState state, _) = Save();
        using (FileStream file = File.OpenWrite(FilePath))
        {
            file.Position = at;
            file.WriteByte(0xa5);
        }

        var image = new MemoryImage(FilePath, state, MemoryRestoreMode.OnDemand, prefault);
        using GuestMemory memory = Load(image);
        var damages = new List<string>();
        using BackgroundLoad load = image.LoadInBackground(memory, damages.Add, NullLogger.Instance)!;
        load.Start();
        Assert.True(SpinWait.SpinUntil(() => load.HasEnded, TimeSpan.FromSeconds(60)));
        Assert.Equal($"{FilePath} is damaged: the checksum of bytes 0x{from:x} to 0x{end:x} is wrong", Assert.Single(damages));
        Assert.Equal(from, load.Verified);
    }

    [Fact]
    public void Loading_stops_with_the_machine()
    {
        (MemoryState state, _) = Save();
        var image = new MemoryImage(FilePath, state, MemoryRestoreMode.OnDemand, prefault: false);
        using GuestMemory memory = Load(image);
        var damages = new List<string>();
        image.LoadInBackground(memory, damages.Add, NullLogger.Instance)!.Dispose();
        BackgroundLoad load = image.LoadInBackground(memory, damages.Add, NullLogger.Instance)!;
        load.Start();
        load.Dispose();
        Assert.True(load.HasEnded);
        Assert.Empty(damages);
    }

    [Fact]
    public void A_shared_file_keeps_its_contents_itself()
    {
        string zone = Path.Combine(_folder, "zone");
        RamPiece[] plan = [new RamPiece(0, Size) { ZoneId = "mem0", File = zone, Shared = true }];
        MemoryState state;
        using (GuestMemory memory = GuestRamAllocator.Allocate(plan))
        {
            memory.GetSpan(0x5000, 1)[0] = 42;
            state = MemoryFileWriter.Plan(new RamSource(memory, plan));
            Assert.False(state.Ranges[0].IsSaved);
        }

        // As Kata's template: the zone becomes private, and there is no memory file.
        var image = new MemoryImage(Path.Combine(_folder, "none"), state, MemoryRestoreMode.Copy, false);
        RamPiece[] private_ = [new RamPiece(0, Size) { ZoneId = "mem0", File = zone }];
        using GuestMemory clone = GuestRamAllocator.Allocate(image.Place(private_));
        image.Load(clone);
        Assert.Equal(42, clone.GetSpan(0x5000, 1)[0]);
        clone.GetSpan(0x5000, 1)[0] = 1;
        Assert.Equal(42, File.ReadAllBytes(zone)[0x5000]);
    }

    private (MemoryState State, byte[] Contents) Save(bool compress = false)
    {
        Skip.If(compress && !Cnvm.Linux.Zstd.IsAvailable, "libzstd.so.1 is not installed");
        RamPiece[] plan = [new RamPiece(0, Size)];
        using GuestMemory memory = GuestRamAllocator.Allocate(plan);
        Span<byte> all = memory.GetSpan(0, (int)Size);
        new Random(3).NextBytes(all[..0x3000]);
        new Random(4).NextBytes(all.Slice(0x10_0000, 0x1_0000));
        all[^1] = 9;
        using var file = File.OpenHandle(FilePath, FileMode.Create, FileAccess.Write);
        return (MemoryFileWriter.Write(file, MemoryFileWriter.Plan(new RamSource(memory, plan)), memory, compress: compress), all.ToArray());
    }

    private static GuestMemory Load(MemoryImage image)
    {
        GuestMemory memory = GuestRamAllocator.Allocate(image.Place([new RamPiece(0, Size)]));
        try
        {
            image.Load(memory);
            return memory;
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }
}
