using System.Numerics;
using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Hypervisor.Tests.State;

public sealed class Crc32CTests
{
    /// <summary>RFC 3720 §B.4, and the usual check value.</summary>
    [Fact]
    public void Known_data_has_the_known_checksum()
    {
        Assert.Equal(0xe306_9283u, Crc32C.Of("123456789"u8));
        Assert.Equal(0x8a91_36aau, Crc32C.Of(new byte[32]));
        Assert.Equal(0x62a8_ab43u, Crc32C.Of([.. Enumerable.Repeat((byte)0xff, 32)]));
        Assert.Equal(0x46dd_794eu, Crc32C.Of([.. Enumerable.Range(0, 32).Select(i => (byte)i)]));
    }

    /// <summary>Around the blocks that are taken in one go, wherever they lie in memory, and in pieces.</summary>
    [Fact]
    public void Long_data_has_the_checksum_that_its_bytes_have()
    {
        byte[] all = new byte[40_000];
        new Random(11).NextBytes(all);
        foreach (int length in (int[])[0, 1, 7, 8, 3071, 3072, 3073, 4096, 6143, 6144, 6145, 9216, 32_768, 39_990])
        {
            for (int start = 0; start < 9; start += 3)
            {
                ReadOnlySpan<byte> data = all.AsSpan(start, length);
                uint bytewise = Crc32C.Start;
                foreach (byte b in data)
                {
                    bytewise = BitOperations.Crc32C(bytewise, b);
                }

                Assert.Equal(Crc32C.Finish(bytewise), Crc32C.Of(data));
                int half = length / 2;
                Assert.Equal(bytewise, Crc32C.Append(Crc32C.Append(Crc32C.Start, data[..half]), data[half..]));
            }
        }
    }
}
