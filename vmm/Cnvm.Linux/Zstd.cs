using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>Zstandard (RFC 8878) by the host's libzstd.so.1, which is loaded when it is first asked for. Any thread.</summary>
public static unsafe partial class Zstd
{
    private const string Library = "libzstd.so.1";

    // Fast; the next levels take more time than they save space.
    private const int Level = 1;

    private static readonly Lazy<bool> Loaded = new(static () => NativeLibrary.TryLoad(Library, out _));

    /// <summary>Whether the host has the library (Debian's package libzstd1).</summary>
    public static bool IsAvailable => Loaded.Value;

    /// <summary>Room that compressed data of this size may need.</summary>
    public static int Bound(int bytes) => checked((int)ZSTD_compressBound((nuint)bytes));

    /// <summary>Compresses into one frame; returns its length.</summary>
    /// <param name="frame">At least <see cref="Bound"/> of <paramref name="data"/>.</param>
    /// <exception cref="InvalidDataException">The library refused.</exception>
    public static int Compress(ReadOnlySpan<byte> data, Span<byte> frame)
    {
        // SAFETY: the library reads and writes within the lengths that it is given.
        fixed (byte* source = data)
        fixed (byte* target = frame)
        {
            return Checked(ZSTD_compress(target, (nuint)frame.Length, source, (nuint)data.Length, Level));
        }
    }

    /// <summary>Decompresses one frame; returns the length of what was in it.</summary>
    /// <exception cref="InvalidDataException">It is damaged, or does not fit.</exception>
    public static int Decompress(ReadOnlySpan<byte> frame, Span<byte> data)
    {
        // SAFETY: the library reads and writes within the lengths that it is given.
        fixed (byte* source = frame)
        fixed (byte* target = data)
        {
            return Checked(ZSTD_decompress(target, (nuint)data.Length, source, (nuint)frame.Length));
        }
    }

    /// <summary>Decompresses the frame that the data begins with, whatever follows it; returns the length of what was in it.</summary>
    /// <exception cref="InvalidDataException">It is damaged, or does not fit.</exception>
    public static int DecompressFirst(ReadOnlySpan<byte> frames, Span<byte> data)
    {
        // SAFETY: the library reads within the length that it is given.
        fixed (byte* source = frames)
        {
            return Decompress(frames[..Checked(ZSTD_findFrameCompressedSize(source, (nuint)frames.Length))], data);
        }
    }

    private static int Checked(nuint result) => ZSTD_isError(result) == 0
        ? checked((int)result)
        : throw new InvalidDataException($"zstd: {Marshal.PtrToStringUTF8(ZSTD_getErrorName(result))}");

    [LibraryImport(Library)]
    private static partial nuint ZSTD_compressBound(nuint size);

    [LibraryImport(Library)]
    private static partial nuint ZSTD_compress(byte* target, nuint capacity, byte* source, nuint size, int level);

    [LibraryImport(Library)]
    private static partial nuint ZSTD_decompress(byte* target, nuint capacity, byte* source, nuint size);

    [LibraryImport(Library)]
    private static partial nuint ZSTD_findFrameCompressedSize(byte* source, nuint size);

    [LibraryImport(Library)]
    private static partial uint ZSTD_isError(nuint result);

    [LibraryImport(Library)]
    private static partial nint ZSTD_getErrorName(nuint result);
}
