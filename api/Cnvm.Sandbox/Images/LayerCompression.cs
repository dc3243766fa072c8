using System.IO.Compression;
using Cnvm.Linux;

namespace Cnvm.Sandbox.Images;

/// <summary>What a layer is packed with, told by its first bytes: media types are not always true.</summary>
internal static class LayerCompression
{
    private const int MagicBytes = 4;

    /// <summary>The program that has compressed what begins so; null for none.</summary>
    public static string? Name(ReadOnlySpan<byte> beginning) =>
        beginning.StartsWith((ReadOnlySpan<byte>)[0x1f, 0x8b]) ? "gzip"
        : beginning.StartsWith((ReadOnlySpan<byte>)[0x28, 0xb5, 0x2f, 0xfd]) ? "zstd"
        : beginning.StartsWith("BZh"u8) ? "bzip2"
        : beginning.StartsWith((ReadOnlySpan<byte>)[0xfd, (byte)'7', (byte)'z', (byte)'X']) ? "xz"
        : null;

    /// <summary>What is in a layer.</summary>
    /// <param name="packed">Read by the result, and not closed by it.</param>
    /// <param name="what">The layer, for messages.</param>
    /// <exception cref="ImageException">It is packed with something that is not known here.</exception>
    public static Stream Open(Stream packed, string what)
    {
        byte[] beginning = new byte[MagicBytes];
        int count = packed.ReadAtLeast(beginning, MagicBytes, throwOnEndOfStream: false);
        var all = new PrefixedStream(beginning.AsMemory(0, count), packed);
        return Name(beginning.AsSpan(0, count)) switch
        {
            null => all,
            "gzip" => new GZipStream(all, CompressionMode.Decompress, leaveOpen: true),
            "zstd" => new ZstdStream(all),
            { } name => throw new ImageException($"{what} is compressed with {name}; layers are tar, tar+gzip or tar+zstd"),
        };
    }

    private sealed class PrefixedStream(ReadOnlyMemory<byte> prefix, Stream rest) : ReadingStream
    {
        private ReadOnlyMemory<byte> _prefix = prefix;

        public override int Read(Span<byte> buffer)
        {
            if (_prefix.IsEmpty)
            {
                return rest.Read(buffer);
            }

            int count = Math.Min(buffer.Length, _prefix.Length);
            _prefix.Span[..count].CopyTo(buffer);
            _prefix = _prefix[count..];
            return count;
        }
    }
}
