using System.Text;

namespace Cnvm.Ttrpc;

/// <summary>
/// Writes the fields of a message. Methods named for a value leave a default value out (0, false, nothing), as version 3 of the format
/// does; those that take null leave that out and nothing else. Not for several threads at once.
/// </summary>
/// <remarks>
/// The length of a message in a message goes before it and has one to five bytes, which are not known before it is written. So
/// lengths are kept beside the bytes with the places where they belong, and go in between when the bytes are copied out: once, however deep it is.
/// </remarks>
public sealed class ProtoWriter
{
    private const int SmallestBuffer = 256;

    /// <summary>A buffer above this is not kept for the next message.</summary>
    private const int LargestKept = 1 << 20;

    private readonly List<(int At, uint Length)> _lengths = [];
    private byte[] _bytes = new byte[SmallestBuffer];
    private int _count;
    private int _lengthBytes;

    /// <summary>Bytes of the message so far.</summary>
    public int Length => _count + _lengthBytes;

    /// <summary>Begins a new message.</summary>
    public void Reset()
    {
        if (_bytes.Length > LargestKept)
        {
            _bytes = new byte[SmallestBuffer];
        }
        _lengths.Clear();
        _count = 0;
        _lengthBytes = 0;
    }

    /// <summary>The bytes of <paramref name="message"/>.</summary>
    public static byte[] ToBytes<TMessage>(TMessage message)
        where TMessage : IProtoMessage<TMessage>
    {
        ArgumentNullException.ThrowIfNull(message);
        var writer = new ProtoWriter();
        message.Write(writer);
        return writer.ToArray();
    }

    /// <summary>A copy of what was written.</summary>
    public byte[] ToArray()
    {
        byte[] bytes = new byte[Length];
        CopyTo(bytes);
        return bytes;
    }

    /// <summary>Copies what was written to the start of <paramref name="destination"/>.</summary>
    /// <exception cref="ArgumentException">It has less than <see cref="Length"/> bytes.</exception>
    public void CopyTo(Span<byte> destination)
    {
        if (destination.Length < Length)
        {
            throw new ArgumentException($"{Length} bytes do not fit into {destination.Length}", nameof(destination));
        }
        int from = 0;
        foreach ((int at, uint length) in _lengths)
        {
            _bytes.AsSpan(from, at - from).CopyTo(destination);
            destination = destination[(at - from)..];
            from = at;
            destination = destination[Put(destination, length)..];
        }
        _bytes.AsSpan(from, _count - from).CopyTo(destination);
    }

    /// <summary>A number without sign.</summary>
    /// <param name="field">The field's number.</param>
    public void WriteUInt64(int field, ulong value)
    {
        if (value != 0)
        {
            Number(field, value);
        }
    }

    /// <summary>A number in two's complement.</summary>
    public void WriteInt64(int field, long value) => WriteUInt64(field, (ulong)value);

    /// <summary>A number without sign.</summary>
    public void WriteUInt32(int field, uint value) => WriteUInt64(field, value);

    /// <summary>A number in two's complement, or an enum: negative ones take ten bytes.</summary>
    public void WriteInt32(int field, int value) => WriteUInt64(field, (ulong)value);

    /// <summary>Yes or no.</summary>
    public void WriteBool(int field, bool value) => WriteUInt64(field, value ? 1UL : 0);

    /// <summary>A floating-point number of eight bytes. Minus zero is not the default.</summary>
    public void WriteDouble(int field, double value)
    {
        if (BitConverter.DoubleToUInt64Bits(value) != 0)
        {
            Fixed64(field, BitConverter.DoubleToUInt64Bits(value));
        }
    }

    /// <summary>An optional number.</summary>
    public void WriteUInt64(int field, ulong? value)
    {
        if (value is { } number)
        {
            Number(field, number);
        }
    }

    /// <summary>An optional number.</summary>
    public void WriteInt64(int field, long? value) => WriteUInt64(field, (ulong?)value);

    /// <summary>An optional number.</summary>
    public void WriteUInt32(int field, uint? value) => WriteUInt64(field, (ulong?)value);

    /// <summary>An optional number.</summary>
    public void WriteInt32(int field, int? value) => WriteUInt64(field, (ulong?)(long?)value);

    /// <summary>An optional yes or no.</summary>
    public void WriteBool(int field, bool? value) => WriteUInt64(field, value is { } set ? (set ? 1UL : 0) : null);

    /// <summary>An optional floating-point number.</summary>
    public void WriteDouble(int field, double? value)
    {
        if (value is { } number)
        {
            Fixed64(field, BitConverter.DoubleToUInt64Bits(number));
        }
    }

    /// <summary>Text, as UTF-8.</summary>
    /// <exception cref="EncoderFallbackException">It has half of a surrogate pair.</exception>
    public void WriteString(int field, string value)
    {
        ArgumentNullException.ThrowIfNull(value);
        if (value.Length > 0)
        {
            Text(field, value);
        }
    }

    /// <summary>Bytes.</summary>
    public void WriteBytes(int field, ReadOnlySpan<byte> value)
    {
        if (!value.IsEmpty)
        {
            Tag(field, WireType.LengthDelimited);
            Varint((uint)value.Length);
            value.CopyTo(Room(value.Length));
            _count += value.Length;
        }
    }

    /// <summary>A message in this one; one without a field set is there too.</summary>
    public void WriteMessage<TMessage>(int field, TMessage? value)
        where TMessage : class, IProtoMessage<TMessage>
    {
        if (value is not null)
        {
            Begin(field, out int mark, out int before);
            value.Write(this);
            End(mark, before);
        }
    }

    /// <summary>Messages, one after the other.</summary>
    public void WriteMessages<TMessage>(int field, IReadOnlyList<TMessage> values)
        where TMessage : class, IProtoMessage<TMessage>
    {
        ArgumentNullException.ThrowIfNull(values);
        for (int i = 0; i < values.Count; i++)
        {
            WriteMessage(field, values[i] ?? throw new ArgumentException($"message {i} of field {field} is null", nameof(values)));
        }
    }

    /// <summary>Texts, one after the other; empty ones too.</summary>
    public void WriteStrings(int field, IReadOnlyList<string> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        for (int i = 0; i < values.Count; i++)
        {
            Text(field, values[i] ?? throw new ArgumentException($"text {i} of field {field} is null", nameof(values)));
        }
    }

    /// <summary>Numbers without sign, packed.</summary>
    public void WriteUInt64s(int field, IReadOnlyList<ulong> values) => Pack(field, values, static (writer, value) => writer.Varint(value));

    /// <summary>Numbers in two's complement, packed.</summary>
    public void WriteInt64s(int field, IReadOnlyList<long> values) => Pack(field, values, static (writer, value) => writer.Varint((ulong)value));

    /// <summary>Numbers without sign, packed.</summary>
    public void WriteUInt32s(int field, IReadOnlyList<uint> values) => Pack(field, values, static (writer, value) => writer.Varint(value));

    /// <summary>Numbers in two's complement, packed.</summary>
    public void WriteInt32s(int field, IReadOnlyList<int> values) => Pack(field, values, static (writer, value) => writer.Varint((ulong)value));

    /// <summary>Yes or no, packed.</summary>
    public void WriteBools(int field, IReadOnlyList<bool> values) => Pack(field, values, static (writer, value) => writer.Varint(value ? 1UL : 0));

    /// <summary>Floating-point numbers, packed.</summary>
    public void WriteDoubles(int field, IReadOnlyList<double> values) =>
        Pack(field, values, static (writer, value) => writer.Fixed64(BitConverter.DoubleToUInt64Bits(value)));

    /// <summary>A map: an entry for each key, with the key as field 1.</summary>
    /// <param name="writeValue">Writes the value as field 2.</param>
    public void WriteMap<TValue>(int field, IReadOnlyDictionary<string, TValue> values, Action<ProtoWriter, TValue> writeValue)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(writeValue);
        foreach ((string key, TValue value) in values)
        {
            Begin(field, out int mark, out int before);
            Text(1, key);
            writeValue(this, value);
            End(mark, before);
        }
    }

    private void Pack<T>(int field, IReadOnlyList<T> values, Action<ProtoWriter, T> write)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (values.Count == 0)
        {
            return;
        }
        Begin(field, out int mark, out int before);
        for (int i = 0; i < values.Count; i++)
        {
            write(this, values[i]);
        }
        End(mark, before);
    }

    private void Begin(int field, out int mark, out int before)
    {
        Tag(field, WireType.LengthDelimited);
        mark = _lengths.Count;
        before = Length;
        _lengths.Add((_count, 0));
    }

    private void End(int mark, int before)
    {
        uint length = (uint)(Length - before);
        _lengths[mark] = (_lengths[mark].At, length);
        Span<byte> scratch = stackalloc byte[10];
        _lengthBytes += Put(scratch, length);
    }

    private void Number(int field, ulong value)
    {
        Tag(field, WireType.Varint);
        Varint(value);
    }

    private void Fixed64(int field, ulong value)
    {
        Tag(field, WireType.Fixed64);
        Fixed64(value);
    }

    private void Fixed64(ulong value)
    {
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(Room(sizeof(ulong)), value);
        _count += sizeof(ulong);
    }

    private void Text(int field, string value)
    {
        Tag(field, WireType.LengthDelimited);
        int length = ProtoText.Utf8.GetByteCount(value);
        Varint((uint)length);
        _count += ProtoText.Utf8.GetBytes(value, Room(length));
    }

    private void Tag(int field, WireType type)
    {
        if (field is < 1 or > 0x1FFF_FFFF)
        {
            throw new ArgumentOutOfRangeException(nameof(field), field, "Numbers of fields are 1 to 536870911.");
        }
        Varint(((uint)field << 3) | (uint)type);
    }

    private void Varint(ulong value) => _count += Put(Room(10), value);

    private static int Put(Span<byte> destination, ulong value)
    {
        int count = 0;
        for (; value >= 0x80; value >>= 7)
        {
            destination[count++] = (byte)(value | 0x80);
        }
        destination[count++] = (byte)value;
        return count;
    }

    private Span<byte> Room(int count)
    {
        if (_bytes.Length - _count < count)
        {
            Array.Resize(ref _bytes, (int)Math.Min(Math.Max((long)_bytes.Length * 2, (long)_count + count), Array.MaxLength));
        }
        return _bytes.AsSpan(_count);
    }
}
