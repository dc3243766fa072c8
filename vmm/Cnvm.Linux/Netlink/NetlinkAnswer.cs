using System.Buffers.Binary;
using System.Net;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Cnvm.Linux;

/// <summary>One message of an answer of netlink(7): its fixed part and its attributes. An attribute that is cut off ends them.</summary>
public sealed class NetlinkAnswer
{
    private const int HeaderBytes = 4;
    private const int TypeBits = 0x3fff;
    private readonly byte[] _body;
    private readonly Dictionary<int, byte[]> _attributes = [];

    /// <param name="message">Behind the header.</param>
    /// <param name="bodyBytes">Length of the type's fixed part.</param>
    public NetlinkAnswer(ReadOnlySpan<byte> message, int bodyBytes)
    {
        _body = message[..Math.Min(bodyBytes, message.Length)].ToArray();
        int at = bodyBytes;
        while (at + HeaderBytes <= message.Length)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(message[at..]);
            if (length < HeaderBytes || at + length > message.Length)
            {
                break;
            }

            _attributes[BinaryPrimitives.ReadUInt16LittleEndian(message[(at + 2)..]) & TypeBits] = message[(at + HeaderBytes)..(at + length)].ToArray();
            at += (length + 3) & ~3;
        }
    }

    /// <summary>A byte of the fixed part.</summary>
    public byte Byte(int offset) => _body[offset];

    /// <summary>Four bytes of the fixed part.</summary>
    public int Int(int offset) => BinaryPrimitives.ReadInt32LittleEndian(_body.AsSpan(offset));

    /// <summary>Whether there is such an attribute.</summary>
    public bool Has(int attribute) => _attributes.ContainsKey(attribute);

    /// <returns>Null without the attribute, or when it is shorter.</returns>
    public uint? Number(int attribute) =>
        _attributes.TryGetValue(attribute, out byte[]? value) && value.Length >= 4 ? BinaryPrimitives.ReadUInt32LittleEndian(value) : null;

    /// <returns>Empty without the attribute.</returns>
    public string Text(int attribute) =>
        _attributes.TryGetValue(attribute, out byte[]? value) ? Encoding.UTF8.GetString(value).TrimEnd('\0') : "";

    /// <summary>An IP address as text.</summary>
    /// <returns>Empty without the attribute.</returns>
    public string Address(int attribute) =>
        _attributes.TryGetValue(attribute, out byte[]? value) && value.Length is 4 or 16 ? new InternetAddress(value).ToString() : "";

    /// <returns>Null without the attribute.</returns>
    public IPAddress? Ip(int attribute) =>
        _attributes.TryGetValue(attribute, out byte[]? value) && value.Length is 4 or 16 ? new IPAddress(value) : null;

    /// <summary>A hardware address with colons; empty without the attribute.</summary>
    public string HardwareAddress(int attribute) =>
        _attributes.TryGetValue(attribute, out byte[]? value) ? string.Join(':', value.Select(b => b.ToString("x2", System.Globalization.CultureInfo.InvariantCulture))) : "";

    /// <summary>The attributes in an attribute.</summary>
    /// <returns>Null without the attribute.</returns>
    public NetlinkAnswer? Nested(int attribute) => _attributes.TryGetValue(attribute, out byte[]? value) ? new NetlinkAnswer(value, 0) : null;

    /// <summary>The fixed part.</summary>
    /// <exception cref="LinuxException">It is shorter.</exception>
    internal T Body<T>()
        where T : unmanaged => _body.Length >= Unsafe.SizeOf<T>()
        ? MemoryMarshal.Read<T>(_body)
        : throw new LinuxException($"read an answer of netlink: {_body.Length} bytes in place of {Unsafe.SizeOf<T>()}", Errno.EPROTO);
}
