using System.Buffers.Binary;
using System.Text;

namespace Cnvm.GuestAgent.Net;

/// <summary>Builds one request of rtnetlink(7).</summary>
internal sealed class NetlinkMessage
{
    private const int HeaderBytes = 16;
    private readonly List<byte> _bytes = [];

    /// <param name="type">RTM_ number.</param>
    /// <param name="flags">NLM_F_ bits.</param>
    /// <param name="body">The fixed part of the type's messages.</param>
    public NetlinkMessage(ushort type, ushort flags, ReadOnlySpan<byte> body)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        header.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], type);
        BinaryPrimitives.WriteUInt16LittleEndian(header[6..], flags);
        _bytes.AddRange(header);
        _bytes.AddRange(body);
        Pad();
    }

    public NetlinkMessage Add(ushort attribute, ReadOnlySpan<byte> value)
    {
        Span<byte> header = stackalloc byte[4];
        BinaryPrimitives.WriteUInt16LittleEndian(header, (ushort)(header.Length + value.Length));
        BinaryPrimitives.WriteUInt16LittleEndian(header[2..], attribute);
        _bytes.AddRange(header);
        _bytes.AddRange(value);
        Pad();
        return this;
    }

    public NetlinkMessage Add(ushort attribute, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return Add(attribute, bytes);
    }

    public NetlinkMessage Add(ushort attribute, string text) => Add(attribute, Encoding.UTF8.GetBytes(text + '\0'));

    public byte[] Build(uint sequence)
    {
        byte[] bytes = [.. _bytes];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, bytes.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), sequence);
        return bytes;
    }

    private void Pad()
    {
        while (_bytes.Count % 4 != 0)
        {
            _bytes.Add(0);
        }
    }
}
