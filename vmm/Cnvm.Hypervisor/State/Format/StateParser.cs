using System.Buffers.Binary;
using System.Text;

namespace Cnvm.Hypervisor.State.Format;

/// <summary>
/// Takes a state apart without knowing what its elements mean. Input may be hostile: every length is checked against what is there,
/// and nothing is allocated by a number from the input alone.
/// </summary>
public static class StateParser
{
    // Number, type, flags, length of the name; then the name and the payload's length.
    private const int ElementHeadBytes = 5;

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    /// <summary>Checks magic, version, length and checksum; gives the root record.</summary>
    /// <exception cref="StateFormatException">It is no state, a newer one, or damaged.</exception>
    public static ReadOnlyMemory<byte> Open(ReadOnlyMemory<byte> state)
    {
        ReadOnlySpan<byte> span = state.Span;
        if (span.Length < StateFormat.HeaderBytes || !span.StartsWith(StateFormat.Magic))
        {
            throw new StateFormatException("this is no state of cnvm: it does not begin with CNVMSTAT");
        }

        uint version = BinaryPrimitives.ReadUInt32LittleEndian(span[StateFormat.VersionOffset..]);
        if (version is 0 or > StateFormat.Version)
        {
            throw new StateFormatException($"the state has format version {version}; this program reads up to version {StateFormat.Version}");
        }

        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(span[StateFormat.LengthOffset..]);
        if (length != (ulong)(span.Length - StateFormat.HeaderBytes) || span.Length > StateFormat.MaxBytes)
        {
            throw new StateFormatException(
                $"the state is cut off or too long: it says it has {length} bytes, {span.Length - StateFormat.HeaderBytes} are there");
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(span[StateFormat.ChecksumOffset..]) != StateFormat.Checksum(span))
        {
            throw new StateFormatException("the state is damaged: its checksum is wrong");
        }

        return state[StateFormat.HeaderBytes..];
    }

    /// <summary>The elements of a record, in the order in which they stand.</summary>
    /// <param name="path">Names of the records around it, for messages.</param>
    /// <exception cref="StateFormatException">The bytes are no elements, or two have one number.</exception>
    public static List<StateElement> Elements(ReadOnlyMemory<byte> record, string path)
    {
        var elements = new List<StateElement>();
        var numbers = new HashSet<int>();
        while (record.Length > 0)
        {
            StateElement element = Next(ref record, path);
            if (!numbers.Add(element.Number))
            {
                throw new StateFormatException($"{path}: element {element.Number} ({element.Name}) stands twice");
            }

            elements.Add(element);
        }

        return elements;
    }

    /// <summary>The records of a list.</summary>
    /// <exception cref="StateFormatException">Count and lengths do not fit what is there.</exception>
    public static List<ReadOnlyMemory<byte>> Items(ReadOnlyMemory<byte> list, string path)
    {
        uint count = ReadLength(ref list, path);
        if (count > (uint)(list.Length / 4))
        {
            throw new StateFormatException($"{path}: a list of {count} records in {list.Length} bytes");
        }

        var items = new List<ReadOnlyMemory<byte>>((int)count);
        for (uint i = 0; i < count; i++)
        {
            items.Add(Take(ref list, ReadLength(ref list, path), path));
        }

        return list.Length == 0 ? items : throw new StateFormatException($"{path}: {list.Length} bytes follow the list");
    }

    /// <exception cref="StateFormatException">The payload's width is not the type's.</exception>
    public static ulong Number(in StateElement element, string path)
    {
        int width = StateFormat.WidthOf(element.Type);
        if (element.Payload.Length != width)
        {
            throw new StateFormatException($"{path}: {element.Payload.Length} bytes for a number of {width}");
        }

        Span<byte> wide = stackalloc byte[8];
        wide.Clear();
        element.Payload.Span.CopyTo(wide);
        ulong value = BinaryPrimitives.ReadUInt64LittleEndian(wide);
        return element.Type != ElementType.Bool || value <= 1
            ? value
            : throw new StateFormatException($"{path}: {value} is neither true nor false");
    }

    /// <exception cref="StateFormatException">It is not UTF-8.</exception>
    public static string Text(in StateElement element, string path)
    {
        try
        {
            return StrictUtf8.GetString(element.Payload.Span);
        }
        catch (DecoderFallbackException)
        {
            throw new StateFormatException($"{path}: the text is not UTF-8");
        }
    }

    /// <exception cref="StateFormatException">The length is no multiple of 8.</exception>
    public static ulong[] Numbers(in StateElement element, string path)
    {
        ReadOnlySpan<byte> bytes = element.Payload.Span;
        if (bytes.Length % 8 != 0)
        {
            throw new StateFormatException($"{path}: {bytes.Length} bytes are no list of 64-bit numbers");
        }

        var numbers = new ulong[bytes.Length / 8];
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] = BinaryPrimitives.ReadUInt64LittleEndian(bytes[(i * 8)..]);
        }

        return numbers;
    }

    private static StateElement Next(ref ReadOnlyMemory<byte> rest, string path)
    {
        ReadOnlySpan<byte> head = Take(ref rest, ElementHeadBytes, path).Span;
        int number = BinaryPrimitives.ReadUInt16LittleEndian(head);
        var type = (ElementType)head[2];
        bool mandatory = (head[3] & StateFormat.Mandatory) != 0;
        ReadOnlySpan<byte> name = Take(ref rest, head[4], path).Span;
        if (name.Length == 0 || name.ContainsAnyExceptInRange((byte)'!', (byte)'~'))
        {
            throw new StateFormatException($"{path}: element {number} has no printable name");
        }

        string text = Encoding.ASCII.GetString(name);
        string inside = $"{path}/{text}";
        return new StateElement(number, type, mandatory, text, Take(ref rest, ReadLength(ref rest, inside), inside));
    }

    private static uint ReadLength(ref ReadOnlyMemory<byte> rest, string path) =>
        BinaryPrimitives.ReadUInt32LittleEndian(Take(ref rest, 4, path).Span);

    private static ReadOnlyMemory<byte> Take(ref ReadOnlyMemory<byte> rest, uint length, string path)
    {
        if (length > (uint)rest.Length)
        {
            throw new StateFormatException($"{path}: {length} bytes are promised, {rest.Length} are left");
        }

        ReadOnlyMemory<byte> taken = rest[..(int)length];
        rest = rest[(int)length..];
        return taken;
    }
}
