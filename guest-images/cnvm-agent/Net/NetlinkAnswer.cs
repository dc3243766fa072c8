using System.Buffers.Binary;
using System.Text;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Net;

/// <summary>One message of an answer: its fixed part and its attributes.</summary>
internal sealed class NetlinkAnswer
{
    private readonly byte[] _body;
    private readonly Dictionary<int, byte[]> _attributes = [];

    /// <param name="message">Behind the header.</param>
    /// <param name="bodyBytes">Length of the type's fixed part.</param>
    public NetlinkAnswer(ReadOnlySpan<byte> message, int bodyBytes)
    {
        _body = message[..Math.Min(bodyBytes, message.Length)].ToArray();
        int at = bodyBytes;
        while (at + 4 <= message.Length)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(message[at..]);
            if (length < 4 || at + length > message.Length)
            {
                break;
            }

            _attributes[BinaryPrimitives.ReadUInt16LittleEndian(message[(at + 2)..]) & 0x3fff] = message[(at + 4)..(at + length)].ToArray();
            at += (length + 3) & ~3;
        }
    }

    public byte Byte(int offset) => _body[offset];

    public int Int(int offset) => BinaryPrimitives.ReadInt32LittleEndian(_body.AsSpan(offset));

    public uint? Number(int attribute) =>
        _attributes.TryGetValue(attribute, out byte[]? value) && value.Length >= 4 ? BinaryPrimitives.ReadUInt32LittleEndian(value) : null;

    public string Text(int attribute) =>
        _attributes.TryGetValue(attribute, out byte[]? value) ? Encoding.UTF8.GetString(value).TrimEnd('\0') : "";

    /// <returns>Empty without the attribute.</returns>
    public string Address(int attribute) =>
        _attributes.TryGetValue(attribute, out byte[]? value) && value.Length is 4 or 16 ? new InternetAddress(value).ToString() : "";

    /// <summary>A hardware address with colons; empty without the attribute.</summary>
    public string HardwareAddress(int attribute) =>
        _attributes.TryGetValue(attribute, out byte[]? value) ? string.Join(':', value.Select(b => b.ToString("x2", System.Globalization.CultureInfo.InvariantCulture))) : "";
}
