using Cnvm.Virtio.Block;

namespace Cnvm.Virtio.Tests.Block;

public sealed class DirtyBlocksTests
{
    private const ulong Block = DirtyBlocks.BlockBytes;

    [Theory]
    [InlineData(0, 1, 0, 1)]
    [InlineData(65535, 2, 0, 2)]
    [InlineData(65536, 65536, 1, 1)]
    [InlineData(63 * 65536, 2 * 65536, 63, 2)]
    [InlineData(60 * 65536, 80 * 65536, 60, 80)]
    [InlineData(199 * 65536, ulong.MaxValue, 199, 1)]
    public void What_a_write_touches_is_marked_and_found_once(ulong offset, ulong length, ulong first, ulong count)
    {
        var blocks = new DirtyBlocks((200 * Block) - 512);
        blocks.Mark(offset, length);
        Assert.True(blocks.TryTake(0, ulong.MaxValue, out ulong start, out ulong taken));
        Assert.Equal(first * Block, start);
        Assert.Equal(Math.Min(count * Block, blocks.Size - start), taken);
        Assert.Equal(0ul, blocks.MarkedBytes);
        Assert.False(blocks.TryTake(0, ulong.MaxValue, out _, out _));
    }

    [Fact]
    public void What_lies_behind_the_end_is_ignored()
    {
        var blocks = new DirtyBlocks(Block);
        blocks.Mark(Block, 1);
        blocks.Mark(ulong.MaxValue, ulong.MaxValue);
        blocks.Mark(0, 0);
        Assert.Equal(0ul, blocks.MarkedBytes);
    }

    [Fact]
    public void Runs_are_cut_at_the_most_that_is_wanted_and_go_on_from_there()
    {
        var blocks = new DirtyBlocks(300 * Block);
        blocks.Mark(0, 10 * Block);
        blocks.Mark(250 * Block, Block);
        Assert.Equal(11 * Block, blocks.MarkedBytes);
        List<(ulong Start, ulong Length)> runs = [];
        for (ulong at = 0; blocks.TryTake(at, 4 * Block, out ulong start, out ulong length); at = start + length)
        {
            runs.Add((start / Block, length / Block));
        }

        Assert.Equal([(0ul, 4ul), (4ul, 4ul), (8ul, 2ul), (250ul, 1ul)], runs);
    }

    [Fact]
    public void Marks_pass_from_one_to_another_and_none_is_lost_between_threads()
    {
        const ulong Count = 100_000;
        var marked = new DirtyBlocks(Count * Block);
        var taken = new DirtyBlocks(Count * Block);
        var writer = new Thread(() =>
        {
            for (ulong i = 0; i < Count; i += 2)
            {
                marked.Mark(i * Block, 1);
            }
        });
        writer.Start();
        while (!writer.Join(0))
        {
            taken.TakeFrom(marked);
        }

        taken.TakeFrom(marked);
        Assert.Equal(Count / 2 * Block, taken.MarkedBytes);
        Assert.Equal(0ul, marked.MarkedBytes);
    }
}
