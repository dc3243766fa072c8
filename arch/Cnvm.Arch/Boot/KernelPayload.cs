using System.IO.Compression;

namespace Cnvm.Arch.Boot;

/// <summary>The packed ELF kernel inside a bzImage: the host unpacks it at native speed, a guest pays for it at every boot.</summary>
internal static class KernelPayload
{
    private const int MagicLength = 6;

    /// <summary>Opens the payload for reading; null if the header names none or nothing here can unpack it.</summary>
    public static Stream? Open(IKernelFile file, BzImageHeader header, IDecompressor? decompressor, out CompressionFormat format)
    {
        format = CompressionFormat.Unknown;
        if (header.PayloadLength < MagicLength)
        {
            return null;
        }

        Span<byte> magic = stackalloc byte[MagicLength];
        new FileKernelSource(file).ReadExactly(magic, header.PayloadOffset);
        format = Recognise(magic);
        var packed = new KernelFileStream(file, header.PayloadOffset, header.PayloadLength);
        return format switch
        {
            CompressionFormat.Unknown => null,
            CompressionFormat.Gzip => new GZipStream(packed, CompressionMode.Decompress),
            CompressionFormat.Lz4 => new Lz4LegacyStream(packed),
            _ => decompressor?.Open(format, packed),
        };
    }

    private static CompressionFormat Recognise(ReadOnlySpan<byte> magic) => magic switch
    {
        [0x1F, 0x8B, ..] => CompressionFormat.Gzip,
        [0x42, 0x5A, 0x68, ..] => CompressionFormat.Bzip2,
        [0x5D, 0x00, 0x00, ..] => CompressionFormat.Lzma,
        [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00] => CompressionFormat.Xz,
        [0x89, 0x4C, 0x5A, 0x4F, ..] => CompressionFormat.Lzo,
        [0x02, 0x21, 0x4C, 0x18, ..] => CompressionFormat.Lz4,
        [0x28, 0xB5, 0x2F, 0xFD, ..] => CompressionFormat.Zstd,
        _ => CompressionFormat.Unknown,
    };
}
