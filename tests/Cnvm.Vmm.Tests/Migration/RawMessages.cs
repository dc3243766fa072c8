using System.Buffers.Binary;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Payloads of messages, sound ones and others.</summary>
internal static class RawMessages
{
    /// <summary>Addresses around the ends of the RAM of <see cref="FakeDeparture"/>, and far from it.</summary>
    private static readonly ulong[] Ends = [0, 0x1F_F000, 0x20_0000, 0xFF_F000, 0x100_0000, 0x10F_F000, 0x110_0000, 1UL << 40, ulong.MaxValue - 4095, 0x1001];

    /// <summary>Pages, each with one byte all over.</summary>
    public static byte[] Pages(IReadOnlyList<ulong> gpas, Func<ulong, byte> content)
    {
        byte[] payload = new byte[sizeof(uint) + (gpas.Count * (MigrationWire.RunBytes + MigrationWire.PageBytes))];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, (uint)gpas.Count);
        Span<byte> contents = payload.AsSpan(sizeof(uint) + (gpas.Count * MigrationWire.RunBytes));
        for (int i = 0; i < gpas.Count; i++)
        {
            Span<byte> run = payload.AsSpan(sizeof(uint) + (i * MigrationWire.RunBytes));
            BinaryPrimitives.WriteUInt64LittleEndian(run, gpas[i]);
            BinaryPrimitives.WriteUInt32LittleEndian(run[sizeof(ulong)..], 1);
            contents.Slice(i * MigrationWire.PageBytes, MigrationWire.PageBytes).Fill(content(gpas[i]));
        }

        return payload;
    }

    /// <summary>One word of pages from an address on.</summary>
    public static byte[] Missing(ulong gpa, ulong word) => [.. BitConverter.GetBytes(gpa), .. BitConverter.GetBytes(word)];

    /// <summary>An address that is a page of the guest's, just not, or nowhere near.</summary>
    public static ulong Address(Random random) => random.Next(3) switch
    {
        0 => Ends[random.Next(Ends.Length)],
        1 => (ulong)random.Next(0x200) << 12,
        _ => (ulong)random.NextInt64() & (random.Next(2) == 0 ? ulong.MaxValue : ~0xFFFUL),
    };

    /// <summary>A message of any kind, with a payload that may be its own kind's.</summary>
    public static (FrameType Type, byte[] Payload) Any(Random random)
    {
        var type = (FrameType)random.Next(40);
        int limit = MigrationWire.LimitOf(type);
        byte[] payload = random.Next(3) == 0 ? Noise(random, limit) : type switch
        {
            FrameType.Pages => RawSource.Page(Address(random), 0xEE),
            FrameType.Zeros => RawSource.Zeros(Address(random), (ulong)random.Next(3) * (ulong)random.Next(1000)),
            FrameType.Missing => Missing(Address(random), (ulong)random.NextInt64()),
            FrameType.Want => BitConverter.GetBytes(Address(random)),
            FrameType.Round or FrameType.RoundDone => RawSource.Number((uint)random.Next(4)),
            FrameType.Run or FrameType.Answer => [(byte)random.Next(6)],
            FrameType.Join or FrameType.Continue => random.Next(2) == 0 ? Move.Session : new byte[MigrationWire.SessionBytes],
            _ => Noise(random, limit),
        };
        return (type, payload);
    }

    private static byte[] Noise(Random random, int limit)
    {
        byte[] noise = new byte[random.Next(Math.Clamp(limit, 0, 300) + 2)];
        random.NextBytes(noise);
        return noise;
    }
}
