namespace Cnvm.Ttrpc.Wire;

/// <summary>Takes frames from a stream. For one reader at a time; owns nothing.</summary>
internal sealed class FrameReader(Stream stream)
{
    /// <summary>A frame that says it is longer is not drained: whoever sends that does not speak ttrpc.</summary>
    public const uint MaxDrained = 64 << 20;

    private const int UsualBuffer = 64 << 10;

    private byte[] _buffer = new byte[UsualBuffer];
    private int _start;
    private int _end;

    /// <summary>The header of the frame that was read last.</summary>
    public FrameHeader Header { get; private set; }

    /// <summary>The data of that frame, until the next read. Nothing when it was too long.</summary>
    public ReadOnlyMemory<byte> Data { get; private set; }

    /// <summary>That frame had more than <see cref="FrameHeader.MaxData"/> bytes, which are gone.</summary>
    public bool TooLong => Header.Length > FrameHeader.MaxData;

    /// <returns>false when the other side has ended the stream between two frames.</returns>
    /// <exception cref="EndOfStreamException">It has ended the stream in a frame.</exception>
    /// <exception cref="InvalidDataException">A length that no speaker of ttrpc sends.</exception>
    public async ValueTask<bool> ReadAsync(CancellationToken cancellation)
    {
        Data = default;
        if (_start == _end && _buffer.Length > UsualBuffer)
        {
            _buffer = new byte[UsualBuffer];
            _start = _end = 0;
        }
        if (!await FillAsync(FrameHeader.Bytes, cancellation).ConfigureAwait(false))
        {
            return _start == _end ? false : throw new EndOfStreamException($"the stream ended after {_end - _start} bytes of a frame's header");
        }
        Header = FrameHeader.Read(_buffer.AsSpan(_start));
        _start += FrameHeader.Bytes;
        if (Header.Length > MaxDrained)
        {
            throw new InvalidDataException($"a frame says that it has {Header.Length} bytes; {FrameHeader.MaxData} are allowed");
        }
        if (TooLong)
        {
            await DrainAsync(cancellation).ConfigureAwait(false);
            return true;
        }
        int length = (int)Header.Length;
        if (!await FillAsync(length, cancellation).ConfigureAwait(false))
        {
            throw new EndOfStreamException($"the stream ended after {_end - _start} of the {length} bytes of a frame");
        }
        Data = _buffer.AsMemory(_start, length);
        _start += length;
        return true;
    }

    private async ValueTask DrainAsync(CancellationToken cancellation)
    {
        for (uint left = Header.Length; left > 0;)
        {
            if (_start == _end && !await FillAsync(1, cancellation).ConfigureAwait(false))
            {
                throw new EndOfStreamException($"the stream ended {left} bytes before the end of a frame that was too long");
            }
            int taken = (int)Math.Min(left, (uint)(_end - _start));
            _start += taken;
            left -= (uint)taken;
        }
    }

    /// <summary>Has at least <paramref name="count"/> bytes in the buffer from <c>_start</c>.</summary>
    private async ValueTask<bool> FillAsync(int count, CancellationToken cancellation)
    {
        if (_buffer.Length - _start < count)
        {
            byte[] target = count > _buffer.Length ? new byte[count] : _buffer;
            _buffer.AsSpan(_start, _end - _start).CopyTo(target);
            _buffer = target;
            _end -= _start;
            _start = 0;
        }
        while (_end - _start < count)
        {
            int read = await stream.ReadAsync(_buffer.AsMemory(_end), cancellation).ConfigureAwait(false);
            if (read == 0)
            {
                return false;
            }
            _end += read;
        }
        return true;
    }
}
