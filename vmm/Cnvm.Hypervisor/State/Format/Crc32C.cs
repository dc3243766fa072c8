using System.Numerics;
using System.Runtime.InteropServices;

namespace Cnvm.Hypervisor.State.Format;

/// <summary>CRC-32C (Castagnoli; RFC 3720 §12.1): finds every flipped bit and every burst up to 32 bits. Uses the CPU's instruction.</summary>
public static class Crc32C
{
    /// <summary>What the first <see cref="Append"/> begins with.</summary>
    public const uint Start = uint.MaxValue;

    public static uint Append(uint crc, ReadOnlySpan<byte> data)
    {
        for (; data.Length >= Crc32CLanes.BlockBytes; data = data[Crc32CLanes.BlockBytes..])
        {
            crc = Crc32CLanes.Append(crc, data[..Crc32CLanes.BlockBytes]);
        }

        foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(data))
        {
            crc = BitOperations.Crc32C(crc, word);
        }

        foreach (byte b in data[(data.Length & ~7)..])
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        return crc;
    }

    public static uint Finish(uint crc) => ~crc;

    /// <summary>The checksum of one piece of data.</summary>
    public static uint Of(ReadOnlySpan<byte> data) => Finish(Append(Start, data));
}
