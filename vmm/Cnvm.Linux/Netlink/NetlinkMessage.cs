using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Cnvm.Linux;

/// <summary>Builds one request of rtnetlink(7), and the nested attributes in one. One thread.</summary>
public sealed class NetlinkMessage
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

    private NetlinkMessage()
    {
    }

    /// <summary>Adds an attribute.</summary>
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

    /// <summary>Adds a number of four bytes.</summary>
    public NetlinkMessage Add(ushort attribute, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return Add(attribute, bytes);
    }

    /// <summary>Adds a text with the zero behind it.</summary>
    public NetlinkMessage Add(ushort attribute, string text) => Add(attribute, Encoding.UTF8.GetBytes(text + '\0'));

    /// <summary>Adds an attribute that has others in it.</summary>
    /// <param name="fill">Adds those.</param>
    public NetlinkMessage AddNested(ushort attribute, Action<NetlinkMessage> fill)
    {
        ArgumentNullException.ThrowIfNull(fill);
        var inner = new NetlinkMessage();
        fill(inner);
        return Add(attribute, CollectionsMarshal.AsSpan(inner._bytes));
    }

    /// <summary>The message as it is sent.</summary>
    public byte[] Build(uint sequence)
    {
        byte[] bytes = [.. _bytes];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, bytes.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), sequence);
        return bytes;
    }

    /// <summary>Adds a structure of the kernel's.</summary>
    internal NetlinkMessage AddStruct<T>(ushort attribute, in T value)
        where T : unmanaged => Add(attribute, BytesOf(value));

    internal static byte[] BytesOf<T>(in T value)
        where T : unmanaged
    {
        byte[] bytes = new byte[Unsafe.SizeOf<T>()];
        MemoryMarshal.Write(bytes, in value);
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
