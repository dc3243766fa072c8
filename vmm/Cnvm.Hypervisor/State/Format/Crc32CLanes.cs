using System.Numerics;
using System.Runtime.InteropServices;

namespace Cnvm.Hypervisor.State.Format;

/// <summary>
/// CRC-32C of long data, a third of each block in a lane of its own: a processor can begin its instruction for it in every cycle, and has the
/// result of one only three cycles later. What a lane has so far goes over the one behind it as zeros would, and appending so many zeros is a
/// linear map, kept as a table for each byte of the checksum.
/// </summary>
internal static class Crc32CLanes
{
    private const int LaneWords = 128;
    private const int LaneBytes = LaneWords * sizeof(ulong);
    private const int ByteValues = 256;

    /// <summary>Bytes of a block.</summary>
    public const int BlockBytes = 3 * LaneBytes;

    private static readonly uint[] Zeros = BuildZeros();

    /// <summary>Appends one block.</summary>
    public static uint Append(uint crc, ReadOnlySpan<byte> block)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(block);
        ReadOnlySpan<ulong> first = words[..LaneWords];
        ReadOnlySpan<ulong> second = words.Slice(LaneWords, LaneWords);
        ReadOnlySpan<ulong> third = words.Slice(2 * LaneWords, LaneWords);
        uint a = crc;
        uint b = 0;
        uint c = 0;
        for (int i = 0; i < LaneWords; i++)
        {
            a = BitOperations.Crc32C(a, first[i]);
            b = BitOperations.Crc32C(b, second[i]);
            c = BitOperations.Crc32C(c, third[i]);
        }

        return AppendZeros(AppendZeros(a) ^ b) ^ c;
    }

    /// <summary>As many zeros as a lane has bytes.</summary>
    private static uint AppendZeros(uint crc)
    {
        ReadOnlySpan<uint> zeros = Zeros;
        return zeros[(byte)crc]
            ^ zeros[ByteValues + (byte)(crc >> 8)]
            ^ zeros[(2 * ByteValues) + (byte)(crc >> 16)]
            ^ zeros[(3 * ByteValues) + (int)(crc >> 24)];
    }

    private static uint[] BuildZeros()
    {
        var table = new uint[sizeof(uint) * ByteValues];
        for (int bit = 0; bit < 32; bit++)
        {
            uint image = 1u << bit;
            for (int i = 0; i < LaneWords; i++)
            {
                image = BitOperations.Crc32C(image, 0UL);
            }

            // Every value with this bit is one without it and the bit alone.
            Span<uint> values = table.AsSpan(bit / 8 * ByteValues, ByteValues);
            int alone = 1 << (bit % 8);
            for (int low = 0; low < alone; low++)
            {
                values[alone + low] = values[low] ^ image;
            }
        }

        return table;
    }
}
