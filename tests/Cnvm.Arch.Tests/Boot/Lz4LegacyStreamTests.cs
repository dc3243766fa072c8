using Cnvm.Arch.Boot;
using Cnvm.Fuzz;
using Xunit;

namespace Cnvm.Arch.Tests.Boot;

public sealed class Lz4LegacyStreamTests
{
    private static readonly byte[] Magic = [0x02, 0x21, 0x4C, 0x18];

    [Fact]
    public void Literals_and_matches_are_unpacked()
    {
        // "abcd", then 8 bytes from 4 back, then "x" and 20 bytes from 1 back (4 + 15 + 1), then the last literals.
        byte[] block = [0x44, (byte)'a', (byte)'b', (byte)'c', (byte)'d', 4, 0, 0x1F, (byte)'x', 1, 0, 1, 0x30, 1, 2, 3];
        Assert.Equal(
            [.. "abcdabcdabcdx"u8, .. Enumerable.Repeat((byte)'x', 20), 1, 2, 3],
            Unpack([.. Magic, .. Block(block)]));
    }

    [Fact]
    public void Long_literals_have_extension_bytes()
    {
        var literals = Enumerable.Range(0, 15 + 255 + 3).Select(i => (byte)i).ToArray();
        Assert.Equal(literals, Unpack([.. Magic, .. Block([0xF0, 255, 3, .. literals])]));
    }

    [Fact]
    public void Blocks_are_independent_and_a_size_may_follow()
    {
        byte[] block = [0x20, 7, 8];
        Assert.Equal([7, 8, 7, 8], Unpack([.. Magic, .. Block(block), .. Block(block), 4, 0, 0, 0]));
        Assert.Equal([7, 8], Unpack([.. Magic, .. Block(block), 0, 0, 0x30, 3]));
    }

    [Fact]
    public void A_match_may_reach_across_the_whole_window()
    {
        // 65535 literals, then 10 bytes from 65535 back, which wraps in the history.
        var literals = new byte[65535];
        new Random(5).NextBytes(literals);
        var length = literals.Length - 15;
        byte[] block = [0xF6, .. Enumerable.Repeat((byte)255, length / 255), (byte)(length % 255), .. literals, 0xFF, 0xFF, 0x10, 9];
        Assert.Equal([.. literals, .. literals[..10], 9], Unpack([.. Magic, .. Block(block)]));
    }

    [Theory]
    [InlineData("01020304")] // magic
    [InlineData("02214C18" + "05000000" + "1061050010")] // match before the start
    [InlineData("02214C18" + "05000000" + "1061000010")] // distance 0
    [InlineData("02214C18" + "03000000" + "F0FFFF")] // length runs out of the block
    [InlineData("02214C18" + "02000000" + "5061")] // literals run out of the block
    [InlineData("02214C18" + "10000000" + "F0")] // input ends in a block
    public void Damage_is_reported(string hex) => Assert.Throws<InvalidDataException>(() => Unpack(Convert.FromHexString(hex)));

    [Fact]
    public void A_block_cannot_unpack_without_end()
    {
        // One literal, then a match whose length says 255 times over and over.
        byte[] block = [0x1F, 1, 1, 0, .. Enumerable.Repeat((byte)255, 40_000), 0];
        Assert.Throws<InvalidDataException>(() => Unpack([.. Magic, .. Block(block)]));
    }

    [Fact]
    public void Random_input_ends_in_data_or_in_a_refusal()
    {
        byte[] good = [0x44, (byte)'a', (byte)'b', (byte)'c', (byte)'d', 4, 0, 0x1F, (byte)'x', 1, 0, 1, 0x30, 1, 2, 3];
        var refused = 0;
        var runs = SeededRuns.Repeat(5000, seed =>
        {
            var random = new Random(seed);
            byte[] file = [.. Magic, .. Block(good), .. Block(good)];
            for (var n = random.Next(1, 4); n > 0; n--)
            {
                file[random.Next(4, file.Length)] = (byte)random.Next(256);
            }

            try
            {
                Unpack(file);
            }
            catch (InvalidDataException)
            {
                refused++;
            }
        });

        Assert.InRange(refused, runs / 50, runs - 1);
    }

    private static byte[] Block(byte[] packed) => [.. BitConverter.GetBytes(packed.Length), .. packed];

    private static byte[] Unpack(byte[] packed)
    {
        using var stream = new Lz4LegacyStream(new MemoryStream(packed));
        using var output = new MemoryStream();

        // Odd sizes stop inside literals and matches.
        var buffer = new byte[7];
        for (var count = stream.Read(buffer); count > 0; count = stream.Read(buffer))
        {
            output.Write(buffer, 0, count);
        }

        return output.ToArray();
    }
}
