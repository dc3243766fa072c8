using System.Runtime.InteropServices;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>A packet as it lies in a buffer: struct virtio_vsock_hdr of virtio 1.2 §5.10.6, and its payload.</summary>
internal sealed record VsockPacket(uint SourcePort, uint DestinationPort, ushort Operation)
{
    public const ushort Request = 1;
    public const ushort Response = 2;
    public const ushort Reset = 3;
    public const ushort Shutdown = 4;
    public const ushort ReadWrite = 5;
    public const ushort CreditUpdate = 6;
    public const ushort CreditRequest = 7;
    public const int HeaderBytes = 44;

    public ulong SourceCid { get; init; } = 3;

    public ulong DestinationCid { get; init; } = 2;

    /// <summary>What the length field says; null: the payload's length.</summary>
    public uint? Length { get; init; }

    public ushort Type { get; init; } = 1;

    public uint Flags { get; init; }

    public uint BufferSize { get; init; } = 256 * 1024;

    public uint Forwarded { get; init; }

    public byte[] Payload { get; init; } = [];

    public byte[] ToArray()
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(SourceCid);
        writer.Write(DestinationCid);
        writer.Write(SourcePort);
        writer.Write(DestinationPort);
        writer.Write(Length ?? (uint)Payload.Length);
        writer.Write(Type);
        writer.Write(Operation);
        writer.Write(Flags);
        writer.Write(BufferSize);
        writer.Write(Forwarded);
        writer.Write(Payload);
        return stream.ToArray();
    }

    public static VsockPacket Parse(ReadOnlySpan<byte> bytes)
    {
        uint length = MemoryMarshal.Read<uint>(bytes[24..]);
        Assert.Equal(HeaderBytes + length, (uint)bytes.Length);
        return new VsockPacket(MemoryMarshal.Read<uint>(bytes[16..]), MemoryMarshal.Read<uint>(bytes[20..]), MemoryMarshal.Read<ushort>(bytes[30..]))
        {
            SourceCid = MemoryMarshal.Read<ulong>(bytes),
            DestinationCid = MemoryMarshal.Read<ulong>(bytes[8..]),
            Length = length,
            Type = MemoryMarshal.Read<ushort>(bytes[28..]),
            Flags = MemoryMarshal.Read<uint>(bytes[32..]),
            BufferSize = MemoryMarshal.Read<uint>(bytes[36..]),
            Forwarded = MemoryMarshal.Read<uint>(bytes[40..]),
            Payload = bytes[HeaderBytes..].ToArray(),
        };
    }
}
