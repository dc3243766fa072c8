using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>Ranges that are long enough for two threads.</summary>
public sealed class MemoryRangeWriterTests : IDisposable
{
    private const ulong Size = (67 << 20) + 0x5000;
    private const ulong HighGpa = 4UL << 30;
    private const ulong HighSize = 21 << 20;
    private const int PageBytes = 4096;
    private static readonly RamPiece[] Pieces = [new RamPiece(0, Size), new RamPiece(HighGpa, HighSize)];
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-range-").FullName;
    private readonly GuestMemory _memory = GuestRamAllocator.Allocate(Pieces);

    private string FilePath => Path.Combine(_folder, "m");

    public void Dispose()
    {
        _memory.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Contents_and_checksums_are_those_of_the_memory()
    {
        Fill(7);
        MemoryState state = Write(null);
        byte[] file = File.ReadAllBytes(FilePath);
        Assert.Equal((long)(Size + HighSize), file.LongLength);
        Assert.True(_memory.GetSpan(0, (int)Size).SequenceEqual(file.AsSpan(0, (int)Size)));
        Assert.True(_memory.GetSpan(HighGpa, (int)HighSize).SequenceEqual(file.AsSpan((int)Size)));
        AssertChecksums(state, file);
    }

    [Fact]
    public void Of_a_difference_only_its_pages_are_written_and_the_rest_counts_as_zeros()
    {
        Fill(8);
        var dirty = new DirtyBitmap(_memory.Regions);
        var expected = new byte[Size + HighSize];
        foreach (ulong gpa in (ulong[])[0, 0x1ff000, 0x200000, 40 << 20, Size - PageBytes, HighGpa + (3 << 20), HighGpa + HighSize - PageBytes])
        {
            dirty.Mark(gpa, 1);
            int at = (int)(gpa < HighGpa ? gpa : gpa - HighGpa + Size);
            _memory.GetSpan(gpa, PageBytes).CopyTo(expected.AsSpan(at));
        }

        MemoryState state = Write(dirty);
        byte[] file = File.ReadAllBytes(FilePath);
        Assert.True(expected.AsSpan().SequenceEqual(file));
        Assert.Equal(7, state.Ranges.Sum(r => r.Pages.Sum(w => System.Numerics.BitOperations.PopCount(w))));
        AssertChecksums(state, file);
    }

    /// <summary>Whichever thread meets it.</summary>
    [Fact]
    public void A_file_that_cannot_be_written_is_told()
    {
        Fill(9);
        File.WriteAllBytes(FilePath, []);
        using var file = File.OpenHandle(FilePath, FileMode.Open, FileAccess.Read);
        MemoryState plan = MemoryFileWriter.Plan(new RamSource(_memory, Pieces));
        Assert.ThrowsAny<Exception>(() => MemoryFileWriter.Write(file, plan, _memory));
        Assert.Equal(0, new FileInfo(FilePath).Length);
    }

    private MemoryState Write(DirtyBitmap? dirty)
    {
        using var file = File.OpenHandle(FilePath, FileMode.Create, FileAccess.Write);
        return MemoryFileWriter.Write(file, MemoryFileWriter.Plan(new RamSource(_memory, Pieces)), _memory, dirty);
    }

    /// <summary>Stretches of random bytes with zeros, and memory that nobody has touched, in between.</summary>
    private void Fill(int seed)
    {
        var random = new Random(seed);
        for (int at = 0; at < (int)Size - (1 << 20); at += random.Next(1, 700) * PageBytes)
        {
            random.NextBytes(_memory.GetSpan((ulong)at, random.Next(1, 1 << 20)));
        }

        random.NextBytes(_memory.GetSpan(Size - PageBytes, PageBytes));
        random.NextBytes(_memory.GetSpan(HighGpa, (int)HighSize));
    }

    private static void AssertChecksums(MemoryState state, byte[] file)
    {
        foreach (MemoryRangeState range in state.Ranges)
        {
            byte[][] chunks = [.. file.AsSpan((int)range.FileOffset, (int)range.Size).ToArray().Chunk((int)state.ChunkBytes)];
            Assert.Equal(chunks.Select(c => (ulong)Crc32C.Of(c)), range.Checksums);
        }
    }
}
