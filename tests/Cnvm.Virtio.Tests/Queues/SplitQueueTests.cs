using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.Tests.Support;

namespace Cnvm.Virtio.Tests.Queues;

public sealed class SplitQueueTests : IDisposable
{
    private const ulong Both = VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors;
    private readonly TestMemory _memory = new();
    private readonly RecordedFaults _faults = new();
    private readonly DescriptorChain _chain = new(64);

    public void Dispose()
    {
        _chain.Dispose();
        _memory.Dispose();
    }

    [Theory]
    [InlineData(0, 0x1000, 0x2000, 0x3000, "power of two")]
    [InlineData(3, 0x1000, 0x2000, 0x3000, "power of two")]
    [InlineData(0xffff, 0x1000, 0x2000, 0x3000, "power of two")]
    [InlineData(8, 0x1008, 0x2000, 0x3000, "aligned")]
    [InlineData(8, 0x1000, 0x2001, 0x3000, "aligned")]
    [InlineData(8, 0x1000, 0x2000, 0x3002, "aligned")]
    [InlineData(8, 0x3f_ffc0, 0x2000, 0x3000, "outside")]
    [InlineData(8, 0x1000, 0x3f_fff0, 0x3000, "outside")]
    [InlineData(8, 0x1000, 0x2000, 0xffff_ffff_ffff_fffc, "outside")]
    [InlineData(8, 0x1000, 0x2000, 0x5f_ffc0, "outside")]
    public void Refuses_a_layout_that_cannot_be(int size, ulong table, ulong avail, ulong used, string reason)
    {
        QueueState layout = new() { Size = (ushort)size, DescriptorTable = table, AvailRing = avail, UsedRing = used };

        Assert.False(SplitQueue.TryCreate(_memory.Guest, layout, 0, Both, _faults, out _, out string? error));
        Assert.Contains(reason, error, StringComparison.Ordinal);
    }

    [Fact]
    public void Accepts_rings_that_end_where_a_region_ends()
    {
        // 16 * 8 bytes of descriptors, 22 of available ring, 70 of used ring.
        QueueState layout = new() { Size = 8, DescriptorTable = TestMemory.HoleStart - 128, AvailRing = TestMemory.HoleEnd, UsedRing = TestMemory.End - 72 };

        Assert.True(SplitQueue.TryCreate(_memory.Guest, layout, 0, Both, _faults, out SplitQueue? queue, out _));
        Assert.False(queue.TryPop(_chain));
        Assert.False(queue.IsBroken);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void A_chain_comes_out_as_it_went_in_and_goes_back(bool eventIndex, bool indirect)
    {
        (SplitQueue queue, DriverQueue driver) = Open(8, eventIndex);
        _memory[0x10000, 4].Fill(1);
        _memory[0x20000, 6].Fill(2);
        Piece[] pieces = [Piece.In(0x10000, 4), Piece.In(0x20000, 6), Piece.Out(0x30000, 3), Piece.Out(0x50_0000, 100)];
        ushort head = indirect ? driver.AddIndirect(pieces) : driver.Add(pieces);
        driver.Publish();

        Assert.True(queue.TryPop(_chain));
        Assert.Equal(head, _chain.Head);
        Assert.Equal((2, 2, 10u, 103u), (_chain.ReadableCount, _chain.WritableCount, _chain.ReadableBytes, _chain.WritableBytes));
        Span<byte> read = new byte[12];
        ChainReader reader = new(_chain);
        Assert.Equal(10, reader.Read(read));
        Assert.Equal([1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0, 0], read.ToArray());
        ChainWriter writer = new(_chain);
        Assert.Equal(5, writer.Write([10, 11, 12, 13, 14]));
        Assert.Equal([10, 11, 12], _memory[0x30000, 3].ToArray());
        Assert.Equal([13, 14], _memory[0x50_0000, 2].ToArray());

        queue.Complete(_chain, writer.Written);
        Assert.False(driver.HasUsed);
        queue.Publish();
        Assert.True(driver.TryTake(out ushort back, out uint length));
        Assert.Equal((head, 5u), (back, length));
        Assert.False(queue.TryPop(_chain));
        Assert.Empty(_faults.Reasons);
    }

    [Fact]
    public void Empty_pieces_are_passed_over()
    {
        (SplitQueue queue, DriverQueue driver) = Open(8, false);
        driver.Add(Piece.In(0xdead_beef_0000, 0), Piece.In(0x1_0000, 8), Piece.Out(0, 0), Piece.Out(0x2_0000, 1));
        driver.Publish();

        Assert.True(queue.TryPop(_chain));
        Assert.Equal((1, 1), (_chain.ReadableCount, _chain.WritableCount));
    }

    [Fact]
    public void Indexes_wrap()
    {
        (SplitQueue queue, DriverQueue driver) = Open(4, true);
        for (int i = 0; i < 70_000; i++)
        {
            driver.Add(Piece.Out(0x1_0000, 4));
            driver.Publish();
            Assert.True(queue.TryPop(_chain));
            queue.Complete(_chain, 4);
            queue.Publish();
            Assert.True(driver.TryTake(out _, out _));
        }

        Assert.Empty(_faults.Reasons);
    }

    [Fact]
    public void Undo_gives_the_same_chain_again()
    {
        (SplitQueue queue, DriverQueue driver) = Open(4, false);
        ushort first = driver.Add(Piece.Out(0x1_0000, 4));
        driver.Add(Piece.Out(0x2_0000, 4));
        driver.Publish();

        Assert.True(queue.TryPop(_chain));
        queue.UndoPop();
        Assert.Equal(0, queue.Save().NextAvail);
        Assert.True(queue.TryPop(_chain));
        Assert.Equal(first, _chain.Head);
    }

    [Fact]
    public void Interrupts_follow_the_flag_without_event_index()
    {
        (SplitQueue queue, DriverQueue driver) = Open(8, false);
        Assert.True(PassOne(queue, driver));
        Assert.True(PassOne(queue, driver));
        _memory.Write<ushort>(driver.AvailRing, 1);
        Assert.False(PassOne(queue, driver));
        _memory.Write<ushort>(driver.AvailRing, 0);
        Assert.True(PassOne(queue, driver));
        Assert.False(queue.Publish());
    }

    [Fact]
    public void Interrupts_follow_used_event()
    {
        (SplitQueue queue, DriverQueue driver) = Open(8, true);
        Assert.True(PassOne(queue, driver));

        // One used so far. The driver wants to hear when the third is used.
        driver.WantInterruptAfter(2);
        Assert.False(PassOne(queue, driver, take: false));
        Assert.True(PassOne(queue, driver, take: false));
        Assert.False(PassOne(queue, driver, take: false));
    }

    [Fact]
    public void One_interrupt_for_a_batch()
    {
        (SplitQueue queue, DriverQueue driver) = Open(8, true);
        PassOne(queue, driver);
        for (int i = 0; i < 4; i++)
        {
            driver.Add(Piece.Out(0x1_0000, 4));
        }

        driver.Publish();
        while (queue.TryPop(_chain))
        {
            queue.Complete(_chain, 0);
        }

        Assert.True(queue.Publish());
        Assert.False(queue.Publish());
        Assert.Equal(5, driver.UsedIndex);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_driver_notifies_only_when_asked(bool eventIndex)
    {
        (SplitQueue queue, DriverQueue driver) = Open(8, eventIndex);
        Assert.False(queue.EnableNotifications());
        driver.Add(Piece.Out(0x1_0000, 4));
        Assert.True(driver.Publish());
        queue.DisableNotifications();
        Assert.True(queue.TryPop(_chain));
        driver.Add(Piece.Out(0x1_0000, 4));
        Assert.False(driver.Publish());

        // The buffer that came while notifications were off is not forgotten.
        Assert.True(queue.EnableNotifications());
        Assert.True(queue.TryPop(_chain));
        Assert.False(queue.EnableNotifications());
        driver.Add(Piece.Out(0x1_0000, 4));
        Assert.True(driver.Publish());
    }

    [Fact]
    public void A_restored_queue_goes_on_and_tells_the_driver()
    {
        (SplitQueue queue, DriverQueue driver) = Open(8, true);
        PassOne(queue, driver);
        driver.Add(Piece.Out(0x1_0000, 4));
        driver.Publish();
        QueueState state = queue.Save();
        Assert.Equal((1, 1), (state.NextAvail, state.NextUsed));

        Assert.True(SplitQueue.TryCreate(_memory.Guest, state, 0, Both, _faults, out SplitQueue? second, out _));
        Assert.Equal(state, second.Save());
        driver.WantInterruptAfter(100);
        Assert.True(second.TryPop(_chain));
        second.Complete(_chain, 0);
        Assert.True(second.Publish());
        Assert.Equal(2, driver.UsedIndex);
        Assert.Equal(2, second.Save().NextUsed);
    }

    [Fact]
    public void Every_write_of_the_device_is_marked_dirty()
    {
        (SplitQueue queue, DriverQueue driver) = Open(8, true);
        driver.Add(Piece.In(0x1_0000, 0x1000), Piece.Out(0x2_0800, 0x1000), Piece.Out(0x50_0000, 0x3000));
        driver.Publish();
        _memory.Guest.StartDirtyTracking();

        Assert.True(queue.TryPop(_chain));
        queue.Complete(_chain, 0x1000 + 0x1001);
        queue.Publish();

        DirtyBitmap dirty = new(_memory.Guest.Regions);
        _memory.Guest.CollectDeviceWrites(dirty);
        Assert.True(dirty.IsDirty(0, driver.UsedRing >> 12));
        Assert.True(dirty.IsDirty(0, 0x20));
        Assert.True(dirty.IsDirty(0, 0x21));
        Assert.True(dirty.IsDirty(1, 0));
        Assert.True(dirty.IsDirty(1, 1));
        Assert.False(dirty.IsDirty(1, 2));
        Assert.Equal(5, dirty.CountPages());
        _memory.Guest.StopDirtyTracking();
    }

    [Fact]
    public void Nothing_is_allocated_per_chain()
    {
        (SplitQueue queue, DriverQueue driver) = Open(256, true);
        long before = 0;
        for (int i = 0; i < 2000; i++)
        {
            driver.Add(Piece.In(0x1_0000, 16), Piece.Out(0x2_0000, 512), Piece.Out(0x3_0000, 1));
            driver.Publish();
            before = i == 1000 ? 0 : before;
            long start = GC.GetAllocatedBytesForCurrentThread();
            Assert.True(queue.TryPop(_chain));
            ChainReader reader = new(_chain);
            reader.TryRead(out ulong _);
            queue.Complete(_chain, 513);
            queue.Publish();
            queue.EnableNotifications();
            before += GC.GetAllocatedBytesForCurrentThread() - start;
            driver.TryTake(out _, out _);
        }

        Assert.Equal(0, before);
    }

    [Fact]
    public void Slices_cover_exactly_what_is_asked()
    {
        (SplitQueue queue, DriverQueue driver) = Open(8, true);
        driver.Add(Piece.Out(0x1_0000, 5), Piece.Out(0x2_0000, 7), Piece.Out(0x3_0000, 1));
        driver.Publish();
        Assert.True(queue.TryPop(_chain));
        unsafe
        {
            Cnvm.Linux.IoVec* v = stackalloc Cnvm.Linux.IoVec[3];
            Assert.Equal(2, _chain.SliceWritable(3, 8, v));
            Assert.Equal((2u, 6u), ((uint)v[0].Length, (uint)v[1].Length));
            Assert.True(_memory.Guest.TryGetPointer(0x1_0003, 1, out nint first));
            Assert.Equal(first, v[0].Base);
            Assert.Equal(3, _chain.SliceWritable(0, uint.MaxValue, v));
            Assert.Equal(0, _chain.SliceWritable(13, 1, v));
            Assert.Equal(0, _chain.SliceReadable(0, 1, v));
        }
    }

    private (SplitQueue Queue, DriverQueue Driver) Open(ushort size, bool eventIndex)
    {
        DriverQueue driver = new(_memory, 0x4000, size, eventIndex);
        ulong features = VirtioFeatures.IndirectDescriptors | (eventIndex ? VirtioFeatures.EventIndex : 0);
        Assert.True(SplitQueue.TryCreate(_memory.Guest, driver.Layout, 0, features, _faults, out SplitQueue? queue, out string? error), error);
        return (queue, driver);
    }

    private bool PassOne(SplitQueue queue, DriverQueue driver, bool take = true)
    {
        driver.Add(Piece.Out(0x1_0000, 4));
        driver.Publish();
        Assert.True(queue.TryPop(_chain));
        queue.Complete(_chain, 4);
        bool interrupt = queue.Publish();
        if (take)
        {
            Assert.True(driver.TryTake(out _, out _));
        }

        return interrupt;
    }
}
