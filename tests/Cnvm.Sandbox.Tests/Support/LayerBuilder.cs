using System.Formats.Tar;
using System.IO.Compression;
using Cnvm.Linux;

namespace Cnvm.Sandbox.Tests.Support;

/// <summary>Layers by the framework's own archive writer, so that the reader is compared with somebody else's idea of the format.</summary>
internal sealed class LayerBuilder
{
    private readonly MemoryStream _data = new();
    private readonly TarWriter _writer;

    public LayerBuilder(TarEntryFormat format = TarEntryFormat.Pax) => _writer = new TarWriter(_data, format, leaveOpen: true);

    public LayerBuilder Add(TarEntryType type, string name, Action<TarEntry>? change = null)
    {
        TarEntry entry = _writer.Format switch
        {
            TarEntryFormat.Gnu => new GnuTarEntry(type, name),
            TarEntryFormat.Ustar => new UstarTarEntry(type, name),
            TarEntryFormat.V7 => new V7TarEntry(type == TarEntryType.RegularFile ? TarEntryType.V7RegularFile : type, name),
            _ => new PaxTarEntry(type, name),
        };
        change?.Invoke(entry);
        _writer.WriteEntry(entry);
        return this;
    }

    public LayerBuilder Folder(string name, UnixFileMode mode = (UnixFileMode)0x1ed) => Add(TarEntryType.Directory, name, e => e.Mode = mode);

    public LayerBuilder File(string name, string text, UnixFileMode mode = (UnixFileMode)0x1a4) => Add(
        TarEntryType.RegularFile,
        name,
        e =>
        {
            e.Mode = mode;
            e.DataStream = new MemoryStream(System.Text.Encoding.UTF8.GetBytes(text));
        });

    public LayerBuilder Link(string name, string target) => Add(TarEntryType.SymbolicLink, name, e => e.LinkName = target);

    public LayerBuilder HardLink(string name, string target) => Add(TarEntryType.HardLink, name, e => e.LinkName = target);

    public byte[] Build()
    {
        _writer.Dispose();
        return _data.ToArray();
    }

    public static byte[] Gzip(byte[] data)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            gzip.Write(data);
        }

        return packed.ToArray();
    }

    public static byte[] Zstandard(byte[] data)
    {
        // Two frames: a stream may have any number.
        byte[] Frame(ReadOnlySpan<byte> part)
        {
            byte[] frame = new byte[Zstd.Bound(part.Length)];
            return frame[..Zstd.Compress(part, frame)];
        }

        int half = data.Length / 2;
        return [.. Frame(data.AsSpan(0, half)), .. Frame(data.AsSpan(half))];
    }
}
