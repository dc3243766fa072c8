using Cnvm.Virtio.Queues;
using Cnvm.Virtio.Tests.Support;

namespace Cnvm.Virtio.Tests.Queues;

/// <summary>Every way in which a driver can break the rules breaks its queue, once, and nothing else.</summary>
public sealed class HostileQueueTests : IDisposable
{
    private const ulong Table = 0x4000;
    private readonly TestMemory _memory = new();
    private readonly RecordedFaults _faults = new();
    private readonly DescriptorChain _chain = new(8);
    private readonly DriverQueue _driver;

    public HostileQueueTests() => _driver = new DriverQueue(_memory, Table, 8, eventIndex: true);

    public void Dispose()
    {
        _chain.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void Head_outside_the_table() => Breaks(d => d.OfferRaw(8), "outside its table");

    [Fact]
    public void Next_outside_the_table() => Breaks(
        d =>
        {
            d.SetDescriptor(Table, 0, 0x1_0000, 4, flags: 1, next: 8);
            d.OfferRaw(0);
        },
        "outside its table");

    [Fact]
    public void A_loop() => Breaks(
        d =>
        {
            d.SetDescriptor(Table, 0, 0x1_0000, 4, flags: 1, next: 1);
            d.SetDescriptor(Table, 1, 0x1_0000, 4, flags: 1, next: 0);
            d.OfferRaw(0);
        },
        "loops");

    [Fact]
    public void A_loop_of_empty_pieces() => Breaks(
        d =>
        {
            d.SetDescriptor(Table, 0, 0, 0, flags: 1, next: 0);
            d.OfferRaw(0);
        },
        "loops");

    [Fact]
    public void A_loop_in_an_indirect_table() => Breaks(
        d =>
        {
            d.SetDescriptor(Table, 0, 0x1_0000, 32, flags: 4, next: 0);
            d.SetDescriptor(0x1_0000, 0, 0x2_0000, 0, flags: 1, next: 1);
            d.SetDescriptor(0x1_0000, 1, 0x2_0000, 0, flags: 1, next: 0);
            d.OfferRaw(0);
        },
        "loops");

    [Theory]
    [InlineData(TestMemory.HoleStart - 1, 2)]
    [InlineData(TestMemory.HoleStart, 1)]
    [InlineData(TestMemory.End - 4, 5)]
    [InlineData(ulong.MaxValue, 1)]
    [InlineData(ulong.MaxValue - 3, 8)]
    [InlineData(0x8000_0000_0000_0000, 16)]
    public void A_buffer_outside_memory(ulong address, uint length) => Breaks(
        d =>
        {
            d.SetDescriptor(Table, 0, address, length, flags: 2, next: 0);
            d.OfferRaw(0);
        },
        "outside guest memory");

    [Fact]
    public void Readable_behind_writable() => Breaks(
        d =>
        {
            d.SetDescriptor(Table, 0, 0x1_0000, 4, flags: 3, next: 1);
            d.SetDescriptor(Table, 1, 0x2_0000, 4, flags: 0, next: 0);
            d.OfferRaw(0);
        },
        "behind a writable one");

    [Theory]
    [InlineData(0)]
    [InlineData(8)]
    [InlineData(17)]
    public void An_indirect_table_of_bad_size(uint length) => Breaks(
        d =>
        {
            d.SetDescriptor(Table, 0, 0x1_0000, length, flags: 4, next: 0);
            d.OfferRaw(0);
        },
        "bad size");

    [Fact]
    public void An_indirect_table_outside_memory() => Breaks(
        d =>
        {
            d.SetDescriptor(Table, 0, TestMemory.HoleStart - 16, 32, flags: 4, next: 0);
            d.OfferRaw(0);
        },
        "bad size or place");

    [Fact]
    public void An_indirect_table_in_an_indirect_table() => Breaks(
        d =>
        {
            d.SetDescriptor(Table, 0, 0x1_0000, 16, flags: 4, next: 0);
            d.SetDescriptor(0x1_0000, 0, 0x1_0000, 16, flags: 4, next: 0);
            d.OfferRaw(0);
        },
        "where none may be");

    [Fact]
    public void Indirect_together_with_next() => Breaks(
        d =>
        {
            d.SetDescriptor(Table, 0, 0x1_0000, 16, flags: 5, next: 1);
            d.OfferRaw(0);
        },
        "where none may be");

    [Fact]
    public void Indirect_that_was_not_negotiated() => Breaks(
        d =>
        {
            d.SetDescriptor(Table, 0, 0x1_0000, 16, flags: 4, next: 0);
            d.OfferRaw(0);
        },
        "where none may be",
        features: 0);

    [Fact]
    public void More_pieces_than_a_chain_may_have() => Breaks(
        d =>
        {
            d.SetDescriptor(Table, 0, 0x1_0000, 16 * 9, flags: 4, next: 0);
            for (int i = 0; i < 9; i++)
            {
                d.SetDescriptor(0x1_0000, i, 0x2_0000, 1, flags: (ushort)(i < 8 ? 1 : 0), next: (ushort)(i + 1));
            }

            d.OfferRaw(0);
        },
        "longer than the queue");

    [Fact]
    public void An_available_index_that_runs_ahead()
    {
        SplitQueue queue = Open(VirtioFeatures.EventIndex);
        _memory.Write<ushort>(_driver.AvailRing + 2, 9);

        Assert.False(queue.TryPop(_chain));
        Assert.True(queue.IsBroken);
        Assert.Contains("ahead", Assert.Single(_faults.Reasons), StringComparison.Ordinal);
    }

    [Fact]
    public void A_total_of_two_gigabytes()
    {
        // Overlapping buffers: the sum passes the bound though memory is small.
        DescriptorChain chain = new(1024);
        DriverQueue driver = new(_memory, Table, 1024, eventIndex: true);
        Assert.True(SplitQueue.TryCreate(_memory.Guest, driver.Layout, 0, 0, _faults, out SplitQueue? queue, out _));
        for (int i = 0; i < 600; i++)
        {
            driver.SetDescriptor(Table, i, 0, 0x40_0000, flags: (ushort)(i < 599 ? 1 : 0), next: (ushort)(i + 1));
        }

        driver.OfferRaw(0);
        driver.Publish();
        Assert.False(queue.TryPop(chain));
        Assert.Contains("2 GiB", Assert.Single(_faults.Reasons), StringComparison.Ordinal);
        chain.Dispose();
    }

    private void Breaks(Action<DriverQueue> build, string reason, ulong features = VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors)
    {
        SplitQueue queue = Open(features);
        build(_driver);
        _driver.Publish();

        Assert.False(queue.TryPop(_chain));
        Assert.True(queue.IsBroken);
        Assert.Contains(reason, Assert.Single(_faults.Reasons), StringComparison.Ordinal);

        // A broken queue stays silent and leaves guest memory alone.
        Assert.False(queue.TryPop(_chain));
        queue.Complete(_chain, 4);
        Assert.False(queue.Publish());
        Assert.False(queue.EnableNotifications());
        Assert.Equal(0, _driver.UsedIndex);
        Assert.Single(_faults.Reasons);
    }

    private SplitQueue Open(ulong features)
    {
        Assert.True(SplitQueue.TryCreate(_memory.Guest, _driver.Layout, 0, features, _faults, out SplitQueue? queue, out _));
        return queue;
    }
}
