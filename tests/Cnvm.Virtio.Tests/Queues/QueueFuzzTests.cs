using Cnvm.Fuzz;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.Tests.Support;

namespace Cnvm.Virtio.Tests.Queues;

/// <summary>Random rings, seeded.</summary>
public sealed class QueueFuzzTests
{
    private const int Seeds = 150;

    private static readonly ulong[] Addresses =
    [
        0, 0xfff, 0x1000, 0x1_0000, TestMemory.HoleStart - 16, TestMemory.HoleStart - 1, TestMemory.HoleStart, TestMemory.HoleEnd,
        TestMemory.End - 16, TestMemory.End, uint.MaxValue, ulong.MaxValue, ulong.MaxValue - 15, long.MaxValue,
    ];

    private static readonly uint[] Lengths = [0, 1, 12, 16, 17, 32, 512, 4096, 0x10_0000, int.MaxValue, uint.MaxValue, uint.MaxValue - 15];

    [Fact]
    public void Rings_of_noise_never_throw_or_leave_memory() => SeededRuns.Repeat(Seeds, seed => Noise(new Random(seed)));

    [Fact]
    public void A_driver_model_and_the_queue_agree() => SeededRuns.Repeat(Seeds, seed => Model(new Random(seed)));

    private static void Noise(Random random)
    {
        using TestMemory memory = new();
        ushort size = (ushort)(1 << random.Next(0, 6));
        DriverQueue driver = new(memory, 0x1000, size, eventIndex: true);
        RecordedFaults faults = new();
        using DescriptorChain chain = new(random.Next(1, 40));
        ulong features = (ulong)random.Next(4) << 28;
        Assert.True(SplitQueue.TryCreate(memory.Guest, driver.Layout, 0, features, faults, out SplitQueue? queue, out _));

        for (int step = 0; step < 60; step++)
        {
            for (int i = 0; i < size; i++)
            {
                WriteDescriptor(random, driver, driver.DescriptorTable, i, size);
            }

            for (int i = 0; i < 8; i++)
            {
                // Something for indirect tables to find.
                WriteDescriptor(random, driver, 0x1_0000, i, 8);
            }

            driver.OfferRaw((ushort)(random.Next(8) == 0 ? random.Next(65536) : random.Next(size)));
            driver.Publish();
            if (random.Next(20) == 0)
            {
                memory.Write(driver.AvailRing + 2, (ushort)random.Next(65536));
            }

            int popped = 0;
            while (queue.TryPop(chain) && popped++ < 65536)
            {
                Check(memory, chain);
                ChainReader reader = new(chain);
                reader.TryRead(out ulong _);
                ChainWriter writer = new(chain);
                writer.Write([1, 2, 3]);
                queue.Complete(chain, writer.Written);
            }

            // The ring holds no more than its size at a time.
            Assert.True(popped <= size, $"{popped} chains from a queue of {size}");
            queue.Publish();
            queue.EnableNotifications();
            if (queue.IsBroken)
            {
                Assert.Single(faults.Reasons);
                return;
            }
        }
    }

    private static void WriteDescriptor(Random random, DriverQueue driver, ulong table, int index, int size)
    {
        ulong address = random.Next(3) == 0 ? Addresses[random.Next(Addresses.Length)] : (ulong)random.Next(0x20_0000);
        uint length = random.Next(3) == 0 ? Lengths[random.Next(Lengths.Length)] : (uint)random.Next(0x2000);
        ushort flags = random.Next(10) == 0 ? (ushort)random.Next(65536) : (ushort)random.Next(8);
        ushort next = random.Next(20) == 0 ? (ushort)random.Next(65536) : (ushort)random.Next(size);
        if (index == 0 && random.Next(2) == 0)
        {
            // A plausible indirect table.
            (address, length, flags) = (0x1_0000, 16u * (uint)random.Next(1, 9), 4);
        }

        driver.SetDescriptor(table, index, address, length, flags, next);
    }

    private static void Check(TestMemory memory, DescriptorChain chain)
    {
        Assert.True(memory.Guest.TryGetPointer(0, 1, out nint origin));
        ulong readable = 0;
        ulong writable = 0;
        foreach (Cnvm.Linux.IoVec v in chain.Readable)
        {
            Assert.True(memory.Guest.Contains((ulong)(v.Base - origin), v.Length));
            readable += v.Length;
        }

        foreach (Cnvm.Linux.IoVec v in chain.Writable)
        {
            Assert.True(memory.Guest.Contains((ulong)(v.Base - origin), v.Length));
            writable += v.Length;
        }

        Assert.Equal((chain.ReadableBytes, chain.WritableBytes), ((uint)readable, (uint)writable));
        Assert.True(chain.ReadableCount + chain.WritableCount <= chain.Capacity);
    }

    private static void Model(Random random)
    {
        using TestMemory memory = new();
        ushort size = (ushort)(1 << random.Next(1, 7));
        bool eventIndex = random.Next(2) == 0;
        DriverQueue driver = new(memory, 0x1000, size, eventIndex);
        RecordedFaults faults = new();
        ulong features = VirtioFeatures.IndirectDescriptors | (eventIndex ? VirtioFeatures.EventIndex : 0);
        Assert.True(SplitQueue.TryCreate(memory.Guest, driver.Layout, 0, features, faults, out SplitQueue? queue, out _));
        Queue<(ushort Head, Piece[] Pieces)> offered = new();
        List<DescriptorChain> inFlight = [];
        Dictionary<ushort, uint> expected = [];
        for (int step = 0; step < 300; step++)
        {
            switch (random.Next(5))
            {
                case 0 or 1:
                    Piece[] pieces = RandomPieces(random);
                    bool indirect = random.Next(3) == 0;
                    if (driver.FreeDescriptors >= (indirect ? 1 : pieces.Length))
                    {
                        offered.Enqueue((indirect ? driver.AddIndirect(pieces) : driver.Add(pieces), pieces));
                        driver.Publish();
                    }

                    break;
                case 2:
                    DescriptorChain chain = new(64);
                    if (queue.TryPop(chain))
                    {
                        (ushort head, Piece[] added) = offered.Dequeue();
                        Assert.Equal(head, chain.Head);
                        Assert.Equal(added.Where(p => p.Writable).Sum(p => p.Length), chain.WritableBytes);
                        Assert.Equal(added.Where(p => !p.Writable).Sum(p => p.Length), chain.ReadableBytes);
                        inFlight.Add(chain);
                    }
                    else
                    {
                        Assert.Empty(offered);
                        chain.Dispose();
                    }

                    break;
                case 3 when inFlight.Count > 0:
                    // Buffers may be given back in any order.
                    int index = random.Next(inFlight.Count);
                    DescriptorChain done = inFlight[index];
                    inFlight.RemoveAt(index);
                    uint written = (uint)random.Next((int)done.WritableBytes + 1);
                    expected[done.Head] = written;
                    queue.Complete(done, written);
                    queue.Publish();
                    done.Dispose();
                    break;
                default:
                    while (driver.TryTake(out ushort back, out uint length))
                    {
                        Assert.True(expected.Remove(back, out uint was));
                        Assert.Equal(was, length);
                    }

                    break;
            }
        }

        Assert.Empty(faults.Reasons);
        inFlight.ForEach(c => c.Dispose());
    }

    private static Piece[] RandomPieces(Random random)
    {
        Piece[] pieces = new Piece[random.Next(1, 5)];
        int readable = random.Next(pieces.Length + 1);
        for (int i = 0; i < pieces.Length; i++)
        {
            pieces[i] = new Piece((ulong)random.Next(0x10_0000, 0x30_0000), (uint)random.Next(1, 5000), i >= readable);
        }

        return pieces;
    }
}
