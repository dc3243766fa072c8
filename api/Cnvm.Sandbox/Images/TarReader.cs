using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Cnvm.Sandbox.Images;

/// <summary>
/// Reads a tar archive from a stream that need not be seekable. The framework's reader takes as much memory as a header asks for, and reads
/// extended attributes as text, which file capabilities are not.
/// </summary>
/// <param name="stream">Stays the caller's.</param>
internal sealed class TarReader(Stream stream)
{
    private const int BlockBytes = 512;
    private const int MaxExtensionBytes = 1 << 20;
    private const int MaxNameBytes = 4096;
    private const int MaxAttributes = 256;
    private readonly byte[] _block = new byte[BlockBytes];
    private long _position;
    private long _left;
    private int _padding;

    /// <summary>Skips what is left of the current member and reads the next header; null at the end.</summary>
    /// <exception cref="ImageException">The archive is damaged.</exception>
    public TarEntry? Next()
    {
        Dictionary<string, byte[]>? extended = null;
        string? longName = null;
        string? longLink = null;
        while (ReadHeader())
        {
            char type = _block[156] == 0 ? TarEntry.File : (char)_block[156];
            long size = Number(124, 12, "size");
            switch (type)
            {
                case 'x':
                    extended = ParseExtended(Extension(size));
                    continue;
                case 'g':
                    // For all members: none that means anything here.
                    _ = Extension(size);
                    continue;
                case 'L':
                    longName = Text(Extension(size));
                    continue;
                case 'K':
                    longLink = Text(Extension(size));
                    continue;
                case 'S':
                    throw new ImageException("the archive has sparse files in GNU tar's old form, which is not known here; make it with --format=pax");
                default:
                    return Member(type, size, extended, longName, longLink);
            }
        }

        return null;
    }

    /// <summary>Reads data of the current member; 0 at its end.</summary>
    /// <exception cref="ImageException">The archive ends too early.</exception>
    public int Read(Span<byte> buffer)
    {
        if (_left == 0 || buffer.IsEmpty)
        {
            return 0;
        }

        int count = stream.Read(buffer[..(int)Math.Min(buffer.Length, _left)]);
        if (count == 0)
        {
            throw CutOff();
        }

        _left -= count;
        _position += count;
        return count;
    }

    private TarEntry Member(char type, long size, Dictionary<string, byte[]>? extended, string? longName, string? longLink)
    {
        string name = longName ?? HeaderName();
        string link = longLink ?? Text(_block.AsSpan(157, 100));
        long user = Number(108, 8, "user");
        long group = Number(116, 8, "group");
        decimal time = Number(136, 12, "time");
        var attributes = new Dictionary<string, byte[]>();
        foreach ((string key, byte[] value) in extended ?? [])
        {
            const string Attribute = "SCHILY.xattr.";
            switch (key)
            {
                case "path":
                    name = Text(value);
                    break;
                case "linkpath":
                    link = Text(value);
                    break;
                case "size":
                    size = (long)Decimal(key, value);
                    break;
                case "uid":
                    user = (long)Decimal(key, value);
                    break;
                case "gid":
                    group = (long)Decimal(key, value);
                    break;
                case "mtime":
                    time = Decimal(key, value);
                    break;
                default:
                    if (key.StartsWith("GNU.sparse.", StringComparison.Ordinal))
                    {
                        throw new ImageException($"'{name}' in the archive is a sparse file (GNU.sparse), which is not known here");
                    }

                    if (key.StartsWith(Attribute, StringComparison.Ordinal))
                    {
                        attributes[key[Attribute.Length..]] = value;
                    }

                    break;
            }
        }

        // Only files have data, whatever the header of another member says.
        bool hasData = type is not (TarEntry.HardLink or TarEntry.SymbolicLink or TarEntry.CharacterDevice or TarEntry.BlockDevice
            or TarEntry.Directory or TarEntry.Fifo);
        BeginData(hasData ? size : 0);
        bool isFolder = type == TarEntry.File && name.EndsWith('/');
        return new TarEntry
        {
            Name = Checked(name),
            LinkName = Checked(link),
            Type = isFolder ? TarEntry.Directory : type is '7' ? TarEntry.File : type,
            Size = _left,
            Mode = (uint)Number(100, 8, "mode") & 0xfff,
            User = Id(user),
            Group = Id(group),
            Modified = Time(time),
            DeviceMajor = (uint)Number(329, 8, "device"),
            DeviceMinor = (uint)Number(337, 8, "device"),
            Attributes = attributes,
            Offset = _position,
        };
    }

    private string HeaderName()
    {
        string name = Text(_block.AsSpan(0, 100));

        // POSIX's form has a prefix; GNU's ("ustar" and two spaces) has other things there.
        return _block.AsSpan(257, 6).SequenceEqual("ustar\0"u8) && _block[345] != 0 ? $"{Text(_block.AsSpan(345, 155))}/{name}" : name;
    }

    /// <summary>False at the end: a block of zeros, or no more bytes.</summary>
    private bool ReadHeader()
    {
        Skip();
        int count = stream.ReadAtLeast(_block, BlockBytes, throwOnEndOfStream: false);
        _position += count;
        if (count == 0 || (count == BlockBytes && !_block.AsSpan().ContainsAnyExcept((byte)0)))
        {
            return false;
        }

        if (count < BlockBytes)
        {
            throw CutOff();
        }

        long sum = 0;
        for (int i = 0; i < BlockBytes; i++)
        {
            sum += i is >= 148 and < 156 ? ' ' : _block[i];
        }

        return sum == Number(148, 8, "checksum")
            ? true
            : throw new ImageException(string.Create(CultureInfo.InvariantCulture, $"the archive is damaged: the header at {_position - BlockBytes} has a wrong checksum"));
    }

    private void BeginData(long size)
    {
        if (size is < 0 or > long.MaxValue - BlockBytes)
        {
            throw new ImageException("the archive is damaged: a member has a size that cannot be");
        }

        _left = size;
        _padding = (int)((BlockBytes - (size % BlockBytes)) % BlockBytes);
    }

    private void Skip()
    {
        Span<byte> waste = stackalloc byte[4096];
        while (Read(waste) > 0)
        {
        }

        while (_padding > 0)
        {
            int count = stream.Read(waste[..Math.Min(_padding, waste.Length)]);
            if (count == 0)
            {
                // The last member's padding may be missing.
                _padding = 0;
                return;
            }

            _padding -= count;
            _position += count;
        }
    }

    private byte[] Extension(long size)
    {
        if (size is < 0 or > MaxExtensionBytes)
        {
            throw new ImageException(string.Create(
                CultureInfo.InvariantCulture, $"the archive has an extended header of {size} bytes; more than {MaxExtensionBytes} are not read"));
        }

        BeginData(size);
        byte[] data = new byte[size];
        for (int at = 0; at < data.Length;)
        {
            at += Read(data.AsSpan(at));
        }

        return data;
    }

    /// <summary>Records of "LENGTH KEY=VALUE\n".</summary>
    private static Dictionary<string, byte[]> ParseExtended(ReadOnlySpan<byte> data)
    {
        var records = new Dictionary<string, byte[]>();
        while (!data.IsEmpty)
        {
            int space = data.IndexOf((byte)' ');
            if (space is < 1 or > 10 || !int.TryParse(data[..space], NumberStyles.None, CultureInfo.InvariantCulture, out int length)
                || length <= space + 1 || length > data.Length || data[length - 1] != '\n' || records.Count == MaxAttributes)
            {
                throw new ImageException("the archive is damaged: an extended header is none");
            }

            ReadOnlySpan<byte> record = data[(space + 1)..(length - 1)];
            int equals = record.IndexOf((byte)'=');
            if (equals < 1)
            {
                throw new ImageException("the archive is damaged: an extended header has a record without a name");
            }

            records[Encoding.Latin1.GetString(record[..equals])] = record[(equals + 1)..].ToArray();
            data = data[length..];
        }

        return records;
    }

    /// <summary>Octal digits; or base 256, whose first byte has its highest bit set.</summary>
    private long Number(int offset, int length, string what)
    {
        ReadOnlySpan<byte> field = _block.AsSpan(offset, length);
        if ((field[0] & 0x80) != 0)
        {
            // Eight bytes are enough; the bytes before them only repeat the sign.
            return field[0] is 0x80 or 0xff && !field[1..^Math.Min(8, length - 1)].ContainsAnyExcept(field[0] == 0xff ? (byte)0xff : (byte)0)
                ? Base256(field)
                : throw new ImageException($"the archive is damaged: a {what} has no number");
        }

        long value = 0;
        foreach (byte digit in field.Trim(" \0"u8))
        {
            if (digit is < (byte)'0' or > (byte)'7')
            {
                throw new ImageException($"the archive is damaged: a {what} has no number");
            }

            value = (value << 3) | (uint)(digit - '0');
        }

        return value;
    }

    private static long Base256(ReadOnlySpan<byte> field)
    {
        Span<byte> wide = stackalloc byte[8];
        wide.Fill(field[0] == 0xff ? (byte)0xff : (byte)0);
        ReadOnlySpan<byte> low = field[^Math.Min(8, field.Length - 1)..];
        low.CopyTo(wide[(8 - low.Length)..]);
        return BinaryPrimitives.ReadInt64BigEndian(wide);
    }

    private static decimal Decimal(string key, byte[] value) =>
        value.Length <= 40 && decimal.TryParse(
            Encoding.Latin1.GetString(value), NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number)
        && number is >= long.MinValue and <= long.MaxValue
            ? number
            : throw new ImageException($"the archive is damaged: {key} of an extended header is no number");

    private static string Text(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.IndexOf((byte)0);
        return Encoding.Latin1.GetString(end < 0 ? bytes : bytes[..end]);
    }

    private static string Checked(string name) => name.Length <= MaxNameBytes
        ? name
        : throw new ImageException($"the archive has a name of {name.Length} bytes; Linux allows {MaxNameBytes}");

    private static uint Id(long id) =>
        id is >= 0 and < uint.MaxValue ? (uint)id : throw new ImageException("the archive has an owner that cannot be");

    // Times outside of what files can have are kept at the border.
    private static DateTimeOffset Time(decimal seconds) => DateTimeOffset.UnixEpoch.AddTicks(
        (long)(Math.Clamp(seconds, int.MinValue, 253_402_300_799m) * TimeSpan.TicksPerSecond));

    private static ImageException CutOff() => new("the archive ends in the middle of a member");
}
