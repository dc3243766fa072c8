using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Migration;

/// <summary>Messages that name the pages which the target has not: an address, and bits of the pages from there on.</summary>
internal static class MissingFrame
{
    /// <summary>Sends the set; words without a page are left out where they fill a message.</summary>
    /// <param name="words">Of one region each: bit n of word w is page 64 w + n.</param>
    public static void Write(FrameWriter writer, IReadOnlyList<RamRegion> regions, Func<int, ReadOnlySpan<ulong>> words)
    {
        for (int i = 0; i < regions.Count; i++)
        {
            ReadOnlySpan<ulong> all = words(i);
            for (int first = 0; first < all.Length; first += MigrationWire.MissingWordsPerFrame)
            {
                ReadOnlySpan<ulong> part = all[first..Math.Min(all.Length, first + MigrationWire.MissingWordsPerFrame)];
                if (!part.ContainsAnyExcept(0UL))
                {
                    continue;
                }

                Span<byte> payload = writer.Begin(sizeof(ulong) + (part.Length * sizeof(ulong)));
                BinaryPrimitives.WriteUInt64LittleEndian(payload, regions[i].Gpa + ((ulong)first << (DirtyBitmap.PageShift + 6)));
                for (int w = 0; w < part.Length; w++)
                {
                    BinaryPrimitives.WriteUInt64LittleEndian(payload[((w + 1) * sizeof(ulong))..], part[w]);
                }

                writer.End(FrameType.Missing, payload.Length);
            }
        }
    }

    /// <summary>Calls <paramref name="take"/> with the address of each page.</summary>
    /// <exception cref="MigrationException">The message is malformed, or a page is not RAM.</exception>
    public static void Read(in Frame frame, GuestMemory memory, Action<ulong> take)
    {
        byte[] payload = frame.Payload.ToArray();
        if (payload.Length < 2 * sizeof(ulong) || payload.Length % sizeof(ulong) != 0)
        {
            throw new MigrationException($"message Missing has {payload.Length} bytes");
        }

        ulong start = BinaryPrimitives.ReadUInt64LittleEndian(payload);
        if (start % MigrationWire.PageBytes != 0 || !memory.Contains(start, MigrationWire.PageBytes))
        {
            throw new MigrationException($"message Missing begins at 0x{start:x}, which is no page of the guest's RAM");
        }

        for (int w = 1; w < payload.Length / sizeof(ulong); w++)
        {
            for (ulong bits = BinaryPrimitives.ReadUInt64LittleEndian(payload.AsSpan(w * sizeof(ulong))); bits != 0; bits &= bits - 1)
            {
                ulong gpa = start + ((((ulong)(w - 1) * 64) + (ulong)BitOperations.TrailingZeroCount(bits)) << DirtyBitmap.PageShift);
                if (!memory.Contains(gpa, MigrationWire.PageBytes))
                {
                    throw new MigrationException($"message Missing names the page 0x{gpa:x}, which is not RAM of the guest");
                }

                take(gpa);
            }
        }
    }
}
