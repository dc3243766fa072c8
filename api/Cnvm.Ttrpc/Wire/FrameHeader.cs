using System.Buffers.Binary;

namespace Cnvm.Ttrpc.Wire;

/// <summary>The ten bytes before a frame's data (ttrpc's PROTOCOL.md): length, stream, type, flags; big-endian.</summary>
internal readonly record struct FrameHeader(uint Length, uint StreamId, FrameType Type, byte Flags)
{
    public const int Bytes = 10;

    /// <summary>The longest data of a frame.</summary>
    public const int MaxData = 4 << 20;

    /// <summary>Flag of a request: more data of the caller follows, so that the call is no unary one.</summary>
    public const byte RemoteOpen = 2;

    public static FrameHeader Read(ReadOnlySpan<byte> bytes) => new(
        BinaryPrimitives.ReadUInt32BigEndian(bytes),
        BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]),
        (FrameType)bytes[8],
        bytes[9]);

    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32BigEndian(bytes, Length);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[4..], StreamId);
        bytes[8] = (byte)Type;
        bytes[9] = Flags;
    }
}
