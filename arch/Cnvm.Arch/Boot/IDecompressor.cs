namespace Cnvm.Arch.Boot;

/// <summary>Decompressors beyond gzip and LZ4, which the loader has itself.</summary>
public interface IDecompressor
{
    /// <summary>A stream of the unpacked bytes, or null if the format is not supported here; the guest then unpacks itself.</summary>
    /// <param name="format">How <paramref name="compressed"/> is packed.</param>
    /// <param name="compressed">
    /// The packed bytes; four bytes with the unpacked size may follow them. The result owns it. Corrupt input must end in
    /// <see cref="InvalidDataException"/>.
    /// </param>
    Stream? Open(CompressionFormat format, Stream compressed);
}
