using System.Buffers.Binary;

namespace Cnvm.Arch.Boot;

/// <summary>
/// Reads LZ4 in its legacy frame (lz4_Frame_format.md): a magic number, then independent blocks of at most 8 MiB unpacked, each behind its
/// packed size. Keeps 64 KiB of history, all that a match can reach, and no block.
/// </summary>
internal sealed class Lz4LegacyStream(Stream packed) : Stream
{
    private const uint Magic = 0x184C_2102;
    private const int MaxBlock = 8 << 20;
    private const int MinMatch = 4;
    private const int Window = 64 << 10;

    // An incompressible block grows by 1/255 and 16 bytes.
    private const uint MaxPackedBlock = MaxBlock + (MaxBlock / 255) + 16;

    private readonly byte[] _history = new byte[Window];
    private readonly byte[] _input = new byte[32 << 10];
    private int _inputStart;
    private int _inputEnd;

    private bool _started;
    private bool _ended;
    private long _blockLeft; // packed bytes of the block that are still to be read
    private long _blockOut; // unpacked bytes of the block so far
    private int _position; // of the next byte in the history
    private long _literals;
    private long _match;
    private int _distance;
    private int _matchToken = -1;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(Span<byte> buffer)
    {
        var wanted = buffer.Length;
        while (buffer.Length > 0)
        {
            var count = _literals > 0 ? CopyLiterals(buffer) : _match > 0 ? CopyMatch(buffer) : 0;
            if (count > 0)
            {
                buffer = buffer[count..];
            }
            else if (!NextSequence())
            {
                break;
            }
        }

        return wanted - buffer.Length;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            packed.Dispose();
        }

        base.Dispose(disposing);
    }

    /// <summary>Reads on to the next literals or match; false at the end.</summary>
    private bool NextSequence()
    {
        if (_matchToken >= 0)
        {
            ReadMatch();
            return true;
        }

        while (_blockLeft == 0)
        {
            if (!NextBlock())
            {
                return false;
            }
        }

        var token = BlockByte();
        _literals = ReadLength(token >> 4);
        if (_literals > _blockLeft)
        {
            throw new InvalidDataException($"an LZ4 block ends inside {_literals} literals");
        }

        // The last sequence of a block has literals only.
        _matchToken = _literals == _blockLeft ? -1 : token & 0xF;
        return true;
    }

    private void ReadMatch()
    {
        _distance = BlockByte() | (BlockByte() << 8);
        _match = ReadLength(_matchToken) + MinMatch;
        _matchToken = -1;
        if (_distance == 0 || _distance > _blockOut)
        {
            throw new InvalidDataException($"an LZ4 match goes back {_distance} bytes of {_blockOut}");
        }
    }

    private bool NextBlock()
    {
        if (_ended)
        {
            return false;
        }

        if (!_started)
        {
            _started = true;
            if (!TryReadUInt32(out var magic) || magic != Magic)
            {
                throw new InvalidDataException("the LZ4 legacy frame does not start with its magic number");
            }
        }

        if (!TryReadUInt32(out var size))
        {
            _ended = true;
            return false;
        }

        // The kernel's build appends the unpacked size, which looks like a block that the input does not hold.
        if (size == 0 || size > MaxPackedBlock || !FillInput())
        {
            _ended = true;
            return false;
        }

        _blockLeft = size;
        _blockOut = 0;
        return true;
    }

    private long ReadLength(int nibble)
    {
        long length = nibble;
        if (nibble == 15)
        {
            int more;
            do
            {
                more = BlockByte();
                length += more;
            }
            while (more == 255);
        }

        return length;
    }

    private int CopyLiterals(Span<byte> buffer)
    {
        if (!FillInput())
        {
            throw new InvalidDataException("the LZ4 data ends inside a block");
        }

        var count = (int)Math.Min(Math.Min(buffer.Length, _literals), _inputEnd - _inputStart);
        var literals = _input.AsSpan(_inputStart, count);
        literals.CopyTo(buffer);
        Remember(literals);
        _inputStart += count;
        _literals -= count;
        _blockLeft -= count;
        return count;
    }

    private int CopyMatch(Span<byte> buffer)
    {
        buffer = buffer[..(int)Math.Min(buffer.Length, _match)];
        var from = (_position - _distance) & (Window - 1);
        var count = Math.Min(Math.Min(buffer.Length, _distance), Window - from);
        _history.AsSpan(from, count).CopyTo(buffer);
        if (count == _distance)
        {
            // A match that reaches into what it produces repeats it.
            while (count < buffer.Length)
            {
                var more = Math.Min(count, buffer.Length - count);
                buffer[..more].CopyTo(buffer[count..]);
                count += more;
            }
        }

        Remember(buffer[..count]);
        _match -= count;
        return count;
    }

    private void Remember(ReadOnlySpan<byte> bytes)
    {
        _blockOut += bytes.Length;
        if (_blockOut > MaxBlock)
        {
            throw new InvalidDataException($"an LZ4 block unpacks to more than {MaxBlock} bytes");
        }

        while (bytes.Length > 0)
        {
            var count = Math.Min(bytes.Length, Window - _position);
            bytes[..count].CopyTo(_history.AsSpan(_position));
            _position = (_position + count) & (Window - 1);
            bytes = bytes[count..];
        }
    }

    private byte BlockByte()
    {
        if (_blockLeft == 0 || !FillInput())
        {
            throw new InvalidDataException("an LZ4 block ends inside a sequence");
        }

        _blockLeft--;
        return _input[_inputStart++];
    }

    private bool TryReadUInt32(out uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        value = 0;
        for (var i = 0; i < bytes.Length; i++)
        {
            if (!FillInput())
            {
                return false;
            }

            bytes[i] = _input[_inputStart++];
        }

        value = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        return true;
    }

    private bool FillInput()
    {
        if (_inputStart == _inputEnd)
        {
            _inputStart = 0;
            _inputEnd = packed.Read(_input, 0, _input.Length);
        }

        return _inputEnd > 0;
    }
}
