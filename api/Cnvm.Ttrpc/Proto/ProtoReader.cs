using System.Buffers.Binary;
using System.Text;

namespace Cnvm.Ttrpc;

/// <summary>
/// Reads the fields of one message in their order. Whoever wrote the bytes may be hostile: depth, number of objects and lengths are bounded.
/// Every method throws <see cref="ProtoException"/> for bytes that are no message, and for a field whose wire type is not the one asked for.
/// </summary>
public ref struct ProtoReader
{
    private const int LongestVarint = 10;
    private const uint MaxField = 0x1FFF_FFFF;

    private readonly ReadOnlySpan<byte> _bytes;
    private int _at;

    /// <param name="bytes">The message, without tag or length of its own.</param>
    public ProtoReader(ReadOnlySpan<byte> bytes)
    {
        _bytes = bytes;
        ProtoBudget.Begin();
    }

    /// <summary>A part of a message that is being read.</summary>
    private ProtoReader(ReadOnlySpan<byte> bytes, int field, string enclosing)
    {
        _bytes = bytes;
        Field = field;
        Enclosing = enclosing;
    }

    /// <summary>The number of the field that <see cref="Next"/> found, 1 to 536870911.</summary>
    public int Field { get; private set; }

    /// <summary>How the value of that field lies in the bytes.</summary>
    public WireType WireType { get; private set; }

    /// <summary>Goes to the next field, whose value must then be read or skipped.</summary>
    /// <returns>false at the end of the message.</returns>
    public bool Next()
    {
        if (_at == _bytes.Length)
        {
            return false;
        }
        int start = _at;
        ulong tag = Varint();
        if (tag >> 3 is 0 or > MaxField || (tag & 7) > 5)
        {
            throw new ProtoException($"byte {start}: {tag} is no tag of a field");
        }
        Field = (int)(tag >> 3);
        WireType = (WireType)(tag & 7);
        return true;
    }

    /// <summary>A number without sign.</summary>
    public ulong ReadUInt64()
    {
        Expect(WireType.Varint);
        return Varint();
    }

    /// <summary>A number in two's complement.</summary>
    public long ReadInt64() => (long)ReadUInt64();

    /// <summary>The low 32 bits of a number, as every implementation reads them.</summary>
    public uint ReadUInt32() => (uint)ReadUInt64();

    /// <summary>The low 32 bits of a number; enums too.</summary>
    public int ReadInt32() => (int)ReadUInt64();

    /// <summary>Whether a number is not 0.</summary>
    public bool ReadBool() => ReadUInt64() != 0;

    /// <summary>A number of eight bytes (fixed64).</summary>
    public ulong ReadFixed64()
    {
        Expect(WireType.Fixed64);
        return BinaryPrimitives.ReadUInt64LittleEndian(Take(sizeof(ulong)));
    }

    /// <summary>A number of four bytes (fixed32).</summary>
    public uint ReadFixed32()
    {
        Expect(WireType.Fixed32);
        return BinaryPrimitives.ReadUInt32LittleEndian(Take(sizeof(uint)));
    }

    /// <summary>A floating-point number of eight bytes.</summary>
    public double ReadDouble() => BitConverter.UInt64BitsToDouble(ReadFixed64());

    /// <summary>Bytes, which are part of the message's and live as long.</summary>
    public ReadOnlySpan<byte> ReadBytes()
    {
        Expect(WireType.LengthDelimited);
        int start = _at;
        ulong length = Varint();
        return length <= (ulong)(_bytes.Length - _at)
            ? Take((int)length)
            : throw Malformed(start, $"a length of {length} with {_bytes.Length - _at} bytes left");
    }

    /// <summary>Text; UTF-8 that is none is refused, as version 3 of the format wants it.</summary>
    public string ReadString()
    {
        int start = _at;
        ReadOnlySpan<byte> text = ReadBytes();
        if (text.IsEmpty)
        {
            return "";
        }
        ProtoBudget.Count();
        try
        {
            return ProtoText.Utf8.GetString(text);
        }
        catch (DecoderFallbackException e)
        {
            throw new ProtoException(Place(start, "text that is not UTF-8"), e);
        }
    }

    /// <summary>A message in this one.</summary>
    public TMessage ReadMessage<TMessage>()
        where TMessage : IProtoMessage<TMessage>
    {
        int start = _at;
        ReadOnlySpan<byte> bytes = ReadBytes();
        ProtoBudget.Enter();
        try
        {
            ProtoBudget.Count();
            return TMessage.Read(bytes);
        }
        catch (ProtoException e)
        {
            throw new ProtoException($"in field {Field} (byte {start}): {e.Message}", e.InnerException ?? e);
        }
        finally
        {
            ProtoBudget.Leave();
        }
    }

    /// <summary>An entry of a map: a message with the key as field 1 and the value as field 2. What is missing has its default value.</summary>
    public ProtoReader ReadEntry()
    {
        ReadOnlySpan<byte> bytes = ReadBytes();
        ProtoBudget.Count();
        return new ProtoReader(bytes, field: 0, $"{Enclosing}entry of field {Field}, ");
    }

    /// <summary>Adds the values of one occurrence of a repeated field, packed or not.</summary>
    public void ReadUInt64s(List<ulong> values)
    {
        for (ProtoReader packed = Packed(values, sizeof(byte)); packed.More();)
        {
            values.Add(packed.Varint());
        }
    }

    /// <inheritdoc cref="ReadUInt64s"/>
    public void ReadInt64s(List<long> values)
    {
        for (ProtoReader packed = Packed(values, sizeof(byte)); packed.More();)
        {
            values.Add((long)packed.Varint());
        }
    }

    /// <inheritdoc cref="ReadUInt64s"/>
    public void ReadUInt32s(List<uint> values)
    {
        for (ProtoReader packed = Packed(values, sizeof(byte)); packed.More();)
        {
            values.Add((uint)packed.Varint());
        }
    }

    /// <inheritdoc cref="ReadUInt64s"/>
    public void ReadInt32s(List<int> values)
    {
        for (ProtoReader packed = Packed(values, sizeof(byte)); packed.More();)
        {
            values.Add((int)packed.Varint());
        }
    }

    /// <inheritdoc cref="ReadUInt64s"/>
    public void ReadBools(List<bool> values)
    {
        for (ProtoReader packed = Packed(values, sizeof(byte)); packed.More();)
        {
            values.Add(packed.Varint() != 0);
        }
    }

    /// <inheritdoc cref="ReadUInt64s"/>
    public void ReadDoubles(List<double> values)
    {
        for (ProtoReader packed = Packed(values, sizeof(double)); packed.More();)
        {
            values.Add(BinaryPrimitives.ReadDoubleLittleEndian(packed.Take(sizeof(double))));
        }
    }

    /// <summary>Passes over the value of the field, whatever it is; groups with all that is in them.</summary>
    public void Skip()
    {
        int start = _at;
        int field = Field;
        int groups = 0;
        do
        {
            switch (WireType)
            {
                case WireType.Varint: Varint(); break;
                case WireType.Fixed64: Take(sizeof(ulong)); break;
                case WireType.Fixed32: Take(sizeof(uint)); break;
                case WireType.LengthDelimited: ReadBytes(); break;
                case WireType.StartGroup: groups++; break;
                default: groups--; break;
            }
        }
        while (groups > 0 && Next());
        if (groups != 0)
        {
            Field = field;
            throw Malformed(start, groups < 0 ? "the end of a group that has not begun" : "a group without an end");
        }
    }

    private string Enclosing { readonly get => field ?? ""; set; }

    private readonly bool More() => _at < _bytes.Length;

    /// <summary>The values of a repeated field: those in a packed one, or the only one that comes next in this message.</summary>
    private ProtoReader Packed<T>(List<T> values, int smallest)
    {
        ArgumentNullException.ThrowIfNull(values);
        int start = _at;
        if (WireType != WireType.LengthDelimited)
        {
            WireType single = smallest == sizeof(double) ? WireType.Fixed64 : WireType.Varint;
            Expect(single);
            Skip();
            return new ProtoReader(_bytes[start.._at], Field, Enclosing);
        }
        ReadOnlySpan<byte> bytes = ReadBytes();
        values.EnsureCapacity(values.Count + (smallest == sizeof(double) ? bytes.Length / smallest : 0));
        return new ProtoReader(bytes, Field, Enclosing);
    }

    private readonly void Expect(WireType expected)
    {
        if (WireType != expected)
        {
            throw Malformed(_at, $"wire type {(int)WireType} where {(int)expected} belongs");
        }
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _bytes.Length - _at)
        {
            throw Malformed(_at, $"{count} bytes are needed and {_bytes.Length - _at} are left");
        }
        ReadOnlySpan<byte> taken = _bytes.Slice(_at, count);
        _at += count;
        return taken;
    }

    private ulong Varint()
    {
        ulong value = 0;
        for (int i = 0; i < LongestVarint; i++)
        {
            if (_at + i >= _bytes.Length)
            {
                throw Malformed(_at, "a number without an end");
            }
            byte next = _bytes[_at + i];
            if (i == LongestVarint - 1 && next > 1)
            {
                break;
            }
            value |= (ulong)(next & 0x7F) << (7 * i);
            if (next < 0x80)
            {
                _at += i + 1;
                return value;
            }
        }
        throw Malformed(_at, "a number of more than 64 bits");
    }

    private readonly ProtoException Malformed(int at, string what) => new(Place(at, what));

    private readonly string Place(int at, string what) => Field == 0 ? $"{Enclosing}byte {at}: {what}" : $"{Enclosing}field {Field}, byte {at}: {what}";
}
