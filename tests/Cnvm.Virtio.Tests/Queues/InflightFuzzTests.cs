using System.Runtime.InteropServices;
using Cnvm.Fuzz;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Tests.Queues;

/// <summary>Notes of requests in flight are memory that the peer may write at any time.</summary>
public sealed unsafe class InflightFuzzTests
{
    private const int GuardBytes = 64;
    private const byte Guard = 0xa5;

    [Fact]
    public void Notes_of_noise_name_buffers_of_the_queue_and_nothing_beside_them_changes() => SeededRuns.Repeat(400, static seed =>
    {
        Random random = new(seed);
        ushort size = (ushort)(1 << random.Next(0, 9));
        int bytes = (int)InflightQueue.BytesFor(size);
        byte* at = (byte*)NativeMemory.AlignedAlloc((nuint)(bytes + GuardBytes), InflightQueue.Alignment);
        try
        {
            Span<byte> all = new(at, bytes + GuardBytes);
            all[bytes..].Fill(Guard);
            Use(random, all[..bytes], (nint)at, size);
            Assert.DoesNotContain(all[bytes..].ToArray(), b => b != Guard);
        }
        finally
        {
            NativeMemory.AlignedFree(at);
        }
    });

    private static void Use(Random random, Span<byte> notes, nint at, ushort size)
    {
        random.NextBytes(notes);
        if (random.Next(4) > 0)
        {
            // The version and the size of this queue, so that the rest counts.
            MemoryMarshal.Write(notes[8..], (ushort)1);
            MemoryMarshal.Write(notes[10..], size);
        }

        ushort used = (ushort)random.Next(65536);
        InflightQueue queue = new(at, size, used);
        Assert.InRange(queue.Repeats, 0, size);
        List<ushort> flying = [];
        for (int step = 0; step < 300; step++)
        {
            switch (random.Next(6))
            {
                case 0 when queue.HasRepeats:
                    flying.Add(queue.Repeat());
                    Assert.InRange(flying[^1], 0, size - 1);
                    if (random.Next(4) == 0)
                    {
                        queue.UndoRepeat();
                        flying.RemoveAt(flying.Count - 1);
                    }

                    break;
                case 1:
                    flying.Add((ushort)random.Next(size));
                    queue.Take(flying[^1]);
                    break;
                case 2 when flying.Count > 0:
                    int index = random.Next(flying.Count);
                    queue.Complete(flying[index]);
                    flying.RemoveAt(index);
                    used++;
                    break;
                case 3:
                    queue.Publish(used);
                    break;
                case 4:
                    // The peer, meanwhile.
                    random.NextBytes(notes.Slice(random.Next(notes.Length / 16) * 16, 16));
                    break;
                default:
                    queue = random.Next(20) == 0 ? new InflightQueue(at, size, used) : queue;
                    break;
            }
        }
    }
}
