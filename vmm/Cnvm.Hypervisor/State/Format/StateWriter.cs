using System.Buffers.Binary;
using System.Text;

namespace Cnvm.Hypervisor.State.Format;

/// <summary>Visits a record and writes it down (FORMAT.md).</summary>
public sealed class StateWriter : StateVisitor
{
    private byte[] _buffer = new byte[4096];
    private int _length;
    private int _depth;

    private StateWriter()
    {
    }

    /// <summary>A whole state: header and root record.</summary>
    public static byte[] Write<T>(T value, Func<StateVisitor, T?, T> describe)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(describe);
        var writer = new StateWriter { _length = StateFormat.HeaderBytes };
        StateFormat.Magic.CopyTo(writer._buffer);
        BinaryPrimitives.WriteUInt32LittleEndian(writer._buffer.AsSpan(StateFormat.VersionOffset), StateFormat.Version);
        describe(writer, value);
        Span<byte> state = writer._buffer.AsSpan(0, writer._length);
        BinaryPrimitives.WriteUInt64LittleEndian(state[StateFormat.LengthOffset..], (ulong)(state.Length - StateFormat.HeaderBytes));
        BinaryPrimitives.WriteUInt32LittleEndian(state[StateFormat.ChecksumOffset..], StateFormat.Checksum(state));
        return state.ToArray();
    }

    public override ulong? OptionalU64(int number, string name, ulong? value)
    {
        if (value is not null)
        {
            Scalar(number, name, ElementType.U64, value, null, ignorable: false);
        }

        return value;
    }

    public override string Text(int number, string name, string? value, string? absent = null, bool ignorable = false)
    {
        ArgumentNullException.ThrowIfNull(value);
        int mark = Begin(number, name, ElementType.Text, ignorable);
        int bytes = Encoding.UTF8.GetByteCount(value);
        Encoding.UTF8.GetBytes(value, Grow(bytes));
        End(mark);
        return value;
    }

    public override byte[] Bytes(int number, string name, ReadOnlyMemory<byte>? value, bool ignorable = false)
    {
        ReadOnlyMemory<byte> given = value ?? throw new ArgumentNullException(nameof(value));
        int mark = Begin(number, name, ElementType.Bytes, ignorable);
        given.Span.CopyTo(Grow(given.Length));
        End(mark);
        return given.ToArray();
    }

    public override ulong[] U64List(int number, string name, IReadOnlyList<ulong>? value, bool ignorable = false)
    {
        ArgumentNullException.ThrowIfNull(value);
        int mark = Begin(number, name, ElementType.U64List, ignorable);
        foreach (ulong item in value)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(Grow(8), item);
        }

        End(mark);
        return [.. value];
    }

    public override T Record<T>(int number, string name, T? value, Func<StateVisitor, T?, T> describe)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(value);
        return WriteRecord(number, name, value, describe, ignorable: false);
    }

    public override T Record<T>(int number, string name, T? value, Func<StateVisitor, T?, T> describe)
        where T : struct
    {
        ArgumentNullException.ThrowIfNull(describe);
        int mark = Begin(number, name, ElementType.Record, ignorable: false);
        describe(this, value!.Value);
        End(mark);
        return value.Value;
    }

    public override T? Optional<T>(int number, string name, T? value, Func<StateVisitor, T?, T> describe, bool ignorable = false)
        where T : class => value is null ? null : WriteRecord(number, name, value, describe, ignorable);

    public override T[] List<T>(int number, string name, IReadOnlyList<T>? value, Func<StateVisitor, T?, T> describe)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(describe);
        int mark = BeginList(number, name, value.Count);
        foreach (T item in value)
        {
            int itemMark = BeginLength();
            describe(this, item);
            End(itemMark);
        }

        End(mark);
        return [.. value];
    }

    public override T[] ValueList<T>(int number, string name, IReadOnlyList<T>? value, Func<StateVisitor, T?, T> describe)
    {
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(describe);
        int mark = BeginList(number, name, value.Count);
        foreach (T item in value)
        {
            int itemMark = BeginLength();
            describe(this, item);
            End(itemMark);
        }

        End(mark);
        return [.. value];
    }

    // What this program holds itself is right.
    public override void Require(bool condition, string what)
    {
    }

    protected override ulong Scalar(int number, string name, ElementType type, ulong? value, ulong? absent, bool ignorable)
    {
        ulong given = value ?? throw new ArgumentNullException(nameof(value), name);
        int mark = Begin(number, name, type, ignorable);
        Span<byte> wide = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(wide, given);
        int width = StateFormat.WidthOf(type);
        wide[..width].CopyTo(Grow(width));
        End(mark);
        return given;
    }

    private T WriteRecord<T>(int number, string name, T value, Func<StateVisitor, T?, T> describe, bool ignorable)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(describe);
        int mark = Begin(number, name, ElementType.Record, ignorable);
        describe(this, value);
        End(mark);
        return value;
    }

    private int BeginList(int number, string name, int count)
    {
        int mark = Begin(number, name, ElementType.RecordList, ignorable: false);
        BinaryPrimitives.WriteUInt32LittleEndian(Grow(4), (uint)count);
        return mark;
    }

    /// <summary>Number, type, flags, name, and room for the length; returns where the payload begins.</summary>
    private int Begin(int number, string name, ElementType type, bool ignorable)
    {
        Span<byte> head = Grow(5 + name.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(head, checked((ushort)number));
        head[2] = (byte)type;
        head[3] = ignorable ? (byte)0 : StateFormat.Mandatory;
        head[4] = checked((byte)name.Length);
        Encoding.ASCII.GetBytes(name, head[5..]);
        return BeginLength();
    }

    private int BeginLength()
    {
        Grow(4);
        if (++_depth > StateFormat.MaxDepth)
        {
            throw new InvalidOperationException("state records are nested too deep for the format");
        }

        return _length;
    }

    private void End(int mark)
    {
        _depth--;
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer.AsSpan(mark - 4), (uint)(_length - mark));
    }

    private Span<byte> Grow(int bytes)
    {
        if (_length + bytes > StateFormat.MaxBytes)
        {
            throw new InvalidOperationException($"the state has more than {StateFormat.MaxBytes} bytes");
        }

        if (_length + bytes > _buffer.Length)
        {
            Array.Resize(ref _buffer, Math.Max(_length + bytes, _buffer.Length * 2));
        }

        _length += bytes;
        return _buffer.AsSpan(_length - bytes, bytes);
    }
}
