using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>What a stream of Zstandard frames (RFC 8878) holds, by the host's libzstd.so.1. One reader; the source stays the caller's.</summary>
public sealed unsafe partial class ZstdStream : SpanStream
{
    private const string Library = "libzstd.so.1";
    private readonly Stream _source;
    private readonly byte[] _input;
    private nint _decoder;
    private int _inputStart;
    private int _inputEnd;
    private bool _isBetweenFrames = true;

    /// <param name="source">Frames one after another, to its end.</param>
    /// <exception cref="IOException">The host has no such library.</exception>
    public ZstdStream(Stream source)
    {
        if (!Zstd.IsAvailable)
        {
            throw new IOException($"{Library} is not installed (Debian's package libzstd1): it is needed for what zstd has compressed");
        }

        _source = source;
        _input = new byte[(int)ZSTD_DStreamInSize()];
        _decoder = ZSTD_createDStream();
        if (_decoder == 0)
        {
            throw new IOException("zstd: no memory for a decoder");
        }
    }

    public override int ReadTimeout { get; set; } = -1;

    public override int WriteTimeout { get; set; } = -1;

    /// <exception cref="InvalidDataException">The data is damaged, or ends in the middle of a frame.</exception>
    public override int Read(Span<byte> buffer)
    {
        ObjectDisposedException.ThrowIf(_decoder == 0, this);
        if (buffer.IsEmpty)
        {
            return 0;
        }

        while (true)
        {
            if (_inputStart == _inputEnd)
            {
                _inputStart = 0;
                _inputEnd = _source.Read(_input);
                if (_inputEnd == 0 && _isBetweenFrames)
                {
                    return 0;
                }
            }

            int count = Decompress(buffer);
            if (count > 0)
            {
                return count;
            }

            if (_inputEnd == 0)
            {
                throw new InvalidDataException("zstd: the data ends in the middle of a frame");
            }
        }
    }

    public override void Write(ReadOnlySpan<byte> buffer) => throw new NotSupportedException("zstd: this stream is for reading");

    protected override void Dispose(bool disposing)
    {
        if (_decoder != 0)
        {
            _ = ZSTD_freeDStream(_decoder);
            _decoder = 0;
        }

        base.Dispose(disposing);
    }

    private int Decompress(Span<byte> buffer)
    {
        // SAFETY: the library reads and writes within the pinned buffers, whose lengths it is given, and advances two locals.
        fixed (byte* source = _input)
        fixed (byte* target = buffer)
        {
            var input = new ZstdBuffer { Data = source + _inputStart, Size = (nuint)(_inputEnd - _inputStart) };
            var output = new ZstdBuffer { Data = target, Size = (nuint)buffer.Length };
            nuint result = ZSTD_decompressStream(_decoder, &output, &input);
            if (ZSTD_isError(result) != 0)
            {
                throw new InvalidDataException($"zstd: {Marshal.PtrToStringUTF8(ZSTD_getErrorName(result))}");
            }

            _isBetweenFrames = result == 0;
            _inputStart += (int)input.Position;
            return (int)output.Position;
        }
    }

    [LibraryImport(Library)]
    private static partial nuint ZSTD_DStreamInSize();

    [LibraryImport(Library)]
    private static partial nint ZSTD_createDStream();

    [LibraryImport(Library)]
    private static partial nuint ZSTD_freeDStream(nint decoder);

    [LibraryImport(Library)]
    private static partial nuint ZSTD_decompressStream(nint decoder, ZstdBuffer* output, ZstdBuffer* input);

    [LibraryImport(Library)]
    private static partial uint ZSTD_isError(nuint result);

    [LibraryImport(Library)]
    private static partial nint ZSTD_getErrorName(nuint result);

    /// <summary>ZSTD_inBuffer and ZSTD_outBuffer, which have the same layout.</summary>
    [Abi("zstd.h", "ZSTD_inBuffer")]
    [StructLayout(LayoutKind.Sequential)]
    private struct ZstdBuffer
    {
        [AbiField("src")] public byte* Data;
        [AbiField("size")] public nuint Size;
        [AbiField("pos")] public nuint Position;
    }
}
