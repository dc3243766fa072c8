namespace Cnvm.Arch.Boot;

/// <summary>How the payload of a bzImage is compressed.</summary>
public enum CompressionFormat
{
    /// <summary>None that is known.</summary>
    Unknown,

    /// <summary>gzip (RFC 1952).</summary>
    Gzip,

    /// <summary>bzip2.</summary>
    Bzip2,

    /// <summary>LZMA alone.</summary>
    Lzma,

    /// <summary>xz.</summary>
    Xz,

    /// <summary>LZO.</summary>
    Lzo,

    /// <summary>LZ4 in its legacy frame.</summary>
    Lz4,

    /// <summary>Zstandard (RFC 8878).</summary>
    Zstd,
}
