namespace Cnvm.Arch.Acpi.Aml;

/// <summary>A NameString (20.2.2), from text such as <c>\_SB.PCI0._CRS</c> or <c>^FOO</c>. Short segments are padded with '_'.</summary>
internal sealed class AmlName : AmlTerm
{
    private const int SegmentLength = 4;

    private readonly byte[] _encoded;

    public AmlName(string path) => _encoded = EncodePath(path);

    internal override void Write(AmlWriter writer) => writer.Bytes(_encoded);

    /// <summary>One NameSeg of exactly four characters, as field lists need it.</summary>
    public static byte[] EncodeSegment(ReadOnlySpan<char> segment)
    {
        if (segment.Length is 0 or > SegmentLength)
        {
            throw new ArgumentException($"'{segment}' is not an AML name: a segment has 1 to {SegmentLength} characters.", nameof(segment));
        }

        var encoded = "____"u8.ToArray();
        for (var i = 0; i < segment.Length; i++)
        {
            var c = segment[i];
            var valid = c is (>= 'A' and <= 'Z') or '_' || (i > 0 && c is >= '0' and <= '9');
            if (!valid)
            {
                throw new ArgumentException($"'{segment}' is not an AML name: '{c}' may not stand at position {i}.", nameof(segment));
            }

            encoded[i] = (byte)c;
        }

        return encoded;
    }

    private static byte[] EncodePath(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var writer = new AmlWriter();
        var rest = path.AsSpan();
        if (rest[0] == '\\')
        {
            writer.Byte((byte)'\\');
            rest = rest[1..];
        }
        else
        {
            for (; rest.Length > 0 && rest[0] == '^'; rest = rest[1..])
            {
                writer.Byte((byte)'^');
            }
        }

        WriteSegments(writer, rest);
        return writer.ToArray();
    }

    private static void WriteSegments(AmlWriter writer, ReadOnlySpan<char> segments)
    {
        if (segments.IsEmpty)
        {
            writer.Byte(0x00); // NullName: the root or a parent itself
            return;
        }

        var count = segments.Count('.') + 1;
        switch (count)
        {
            case 1:
                break;
            case 2:
                writer.Byte(0x2E); // DualNamePrefix
                break;
            case <= byte.MaxValue:
                writer.Byte(0x2F); // MultiNamePrefix
                writer.Byte((byte)count);
                break;
            default:
                throw new ArgumentException($"An AML name has at most {byte.MaxValue} segments.", nameof(segments));
        }

        foreach (var range in segments.Split('.'))
        {
            writer.Bytes(EncodeSegment(segments[range]));
        }
    }
}
