namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>Random numbers that lie where arithmetic has its edges.</summary>
internal sealed class InterestingValues(Random random)
{
    public ulong Word() => random.Next(5) switch
    {
        0 => (ulong)random.Next(16),
        1 => ~(ulong)random.Next(16),
        2 => 1ul << random.Next(64),
        3 => (uint)random.Next(int.MinValue, int.MaxValue),
        _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
    };

    public uint Single()
    {
        uint sign = random.Next(2) == 0 ? 0 : 0x8000_0000;
        uint fraction = (uint)random.Next(1 << 23);
        return sign | random.Next(14) switch
        {
            0 => 0,
            1 => (uint)random.Next(4),
            2 => fraction,
            3 => 0x7f80_0000,
            4 => 0x7fc0_0000 | fraction,
            5 => 0x7f80_0000 | ((fraction & 0x3f_ffff) + 1),
            6 => 0x0080_0000 + (uint)random.Next(3),
            7 => 0x7f7f_ffff - (uint)random.Next(3),
            8 => BitConverter.SingleToUInt32Bits(random.Next(100)),
            9 => ((uint)random.Next(1, 30) << 23) | fraction,
            10 => ((uint)random.Next(225, 255) << 23) | fraction,
            11 => (uint)(127 + random.Next(-3, 35)) << 23,
            _ => ((uint)(127 + random.Next(-12, 34)) << 23) | (random.Next(2) == 0 ? fraction : fraction & 0x7f_f000),
        };
    }

    public ulong Double()
    {
        ulong sign = random.Next(2) == 0 ? 0 : 1ul << 63;
        ulong fraction = (ulong)random.NextInt64(1L << 52);
        return sign | random.Next(15) switch
        {
            0 => 0,
            1 => (ulong)random.Next(4),
            2 => fraction,
            3 => 0x7ff0_0000_0000_0000,
            4 => 0x7ff8_0000_0000_0000 | fraction,
            5 => 0x7ff0_0000_0000_0000 | ((fraction & 0x7_ffff_ffff_ffff) + 1),
            6 => 0x0010_0000_0000_0000 + (ulong)random.Next(3),
            7 => 0x7fef_ffff_ffff_ffff - (ulong)random.Next(3),
            8 => BitConverter.DoubleToUInt64Bits(random.Next(100)),
            9 => ((ulong)random.Next(1, 60) << 52) | fraction,
            10 => ((ulong)random.Next(1990, 2047) << 52) | fraction,
            11 => (ulong)(1023 + random.Next(-3, 67)) << 52,
            12 => ((ulong)(1023 + random.Next(-160, 130)) << 52) | fraction,
            _ => ((ulong)(1023 + random.Next(-12, 66)) << 52) | (random.Next(2) == 0 ? fraction : fraction & 0xf_ffff_f000_0000),
        };
    }

    public (ulong Significand, ushort SignExponent) Extended()
    {
        ushort sign = random.Next(2) == 0 ? (ushort)0 : (ushort)0x8000;
        ulong any = (ulong)random.NextInt64(long.MinValue, long.MaxValue);
        ulong whole = any | (1ul << 63);
        return random.Next(14) switch
        {
            0 => (0, sign),
            1 => ((ulong)random.Next(4), sign),
            2 => (any & long.MaxValue, sign),
            3 => (1ul << 63, (ushort)(sign | 0x7fff)),
            4 => (whole | (1ul << 62), (ushort)(sign | 0x7fff)),
            5 => ((whole & ~(1ul << 62)) | 1, (ushort)(sign | 0x7fff)),
            6 => (1ul << 63, (ushort)(sign | 1)),
            7 => (whole, (ushort)(sign | random.Next(0x7ff0, 0x7fff))),
            8 => (whole, (ushort)(sign | random.Next(1, 70))),
            9 => (whole & 0xffff_ff00_0000_0000, (ushort)(sign | (0x3fff + random.Next(-130, 130)))),
            10 => (1ul << 63, (ushort)(sign | (0x3fff + random.Next(-3, 66)))),
            _ => (whole, (ushort)(sign | (0x3fff + random.Next(-20, 66)))),
        };
    }

    /// <summary>Eight bytes of whatever a vector register or memory may hold.</summary>
    public ulong Mixed() => random.Next(4) switch
    {
        0 => Word(),
        1 => Single() | ((ulong)Single() << 32),
        2 => Double(),
        _ => random.Next(3) == 0 ? Single() | ((ulong)Single() << 32) : (ulong)random.NextInt64(long.MinValue, long.MaxValue),
    };
}
