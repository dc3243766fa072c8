using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>LZ4 blocks by the system's liblz4 (lz4.h), where it is installed. Any thread.</summary>
public static unsafe partial class Lz4
{
    private const string Library = "liblz4.so.1";
    private static readonly Lazy<bool> Found = new(static () => NativeLibrary.TryLoad(Library, out _));

    /// <summary>Whether this host has the library; the other members need it.</summary>
    public static bool IsAvailable => Found.Value;

    /// <summary>Most bytes that compressing so many can give.</summary>
    public static int Bound(int bytes) => bytes + (bytes / 255) + 16;

    /// <summary>Compresses a block.</summary>
    /// <returns>Bytes written; 0 if the result does not fit.</returns>
    public static int Compress(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        // SAFETY: both spans are pinned and the library is told their sizes.
        fixed (byte* from = source, to = destination)
        {
            return LZ4_compress_default(from, to, source.Length, destination.Length);
        }
    }

    /// <summary>Unpacks a block that must give exactly as many bytes as the destination has.</summary>
    /// <returns>False if it does not, or is damaged; the destination then holds anything.</returns>
    public static bool TryDecompress(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        // SAFETY: both spans are pinned; the "safe" form of the function checks every read and write against their sizes.
        fixed (byte* from = source, to = destination)
        {
            return LZ4_decompress_safe(from, to, source.Length, destination.Length) == destination.Length;
        }
    }

    [LibraryImport(Library)]
    private static partial int LZ4_compress_default(byte* source, byte* destination, int sourceBytes, int capacity);

    [LibraryImport(Library)]
    private static partial int LZ4_decompress_safe(byte* source, byte* destination, int sourceBytes, int capacity);
}
