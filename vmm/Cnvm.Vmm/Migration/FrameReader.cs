using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Pipelines;
using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Reads messages and checks each before anybody sees it: length, sequence number, checksum. Memory grows with what has come, never with
/// what a header promises. One thread.
/// </summary>
internal sealed class FrameReader
{
    private const int BufferBytes = 256 << 10;
    private readonly PipeReader _pipe;
    private uint _sequence;
    private SequencePosition? _consumed;

    /// <param name="stream">Not owned. Its reads block, so nothing here is ever left pending.</param>
    public FrameReader(Stream stream) =>
        _pipe = PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: BufferBytes, minimumReadSize: BufferBytes / 4, leaveOpen: true));

    /// <summary>When the last message's header was there, as <see cref="Stopwatch.GetTimestamp"/>.</summary>
    public long BeganAt { get; private set; }

    /// <summary>Bytes of whole messages so far.</summary>
    public long Bytes { get; private set; }

    /// <summary>Reads the first bytes of a connection.</summary>
    /// <exception cref="MigrationException">They are not the protocol's.</exception>
    /// <exception cref="IOException">The connection failed.</exception>
    public void ReadMagic()
    {
        int length = MigrationWire.Magic.Length;
        ReadOnlySequence<byte> buffer = Fill(length) ?? throw new MigrationException("the peer closed the connection before it said anything");
        Span<byte> magic = stackalloc byte[length];
        buffer.Slice(0, length).CopyTo(magic);
        _consumed = buffer.GetPosition(length);
        if (!magic.SequenceEqual(MigrationWire.Magic))
        {
            throw new MigrationException("the peer does not speak cnvm's migration protocol");
        }
    }

    /// <summary>Reads the next message.</summary>
    /// <param name="most">Most payload bytes that it may have here, whatever is allowed of its kind.</param>
    /// <exception cref="MigrationException">It is cut off, damaged, too long, out of order or unknown, or the peer closed the connection.</exception>
    /// <exception cref="IOException">The connection failed.</exception>
    public Frame Read(int most = int.MaxValue)
    {
        ReadOnlySequence<byte> buffer = Fill(MigrationWire.HeaderBytes) ?? throw new MigrationException("the peer closed the connection");
        BeganAt = Stopwatch.GetTimestamp();
        Span<byte> header = stackalloc byte[MigrationWire.HeaderBytes];
        buffer.Slice(0, MigrationWire.HeaderBytes).CopyTo(header);
        var type = (FrameType)BinaryPrimitives.ReadUInt16LittleEndian(header);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        uint sequence = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        int limit = Math.Min(MigrationWire.LimitOf(type), most);
        if (limit < 0 || length > (uint)limit)
        {
            throw new MigrationException(limit < 0 ? $"message {(ushort)type} is not known" : $"message {type} has {length} bytes; {limit} are allowed");
        }

        int total = MigrationWire.HeaderBytes + (int)length;
        if (buffer.Length < total)
        {
            // Examined but not consumed: the reader waits for more and keeps what is there.
            _consumed = buffer.Start;
            buffer = Fill(total) ?? throw new MigrationException($"message {type} is cut off");
        }

        ReadOnlySequence<byte> payload = buffer.Slice(MigrationWire.HeaderBytes, (int)length);
        if (ChecksumOf(header, payload) != BinaryPrimitives.ReadUInt32LittleEndian(header[12..]))
        {
            throw new MigrationException($"message {type} is damaged: its checksum is wrong");
        }

        if (sequence != _sequence)
        {
            throw new MigrationException($"message {type} has number {sequence} where {_sequence} should follow");
        }

        _sequence++;
        _consumed = buffer.GetPosition(total);
        Bytes += total;
        return new Frame(type, BinaryPrimitives.ReadUInt16LittleEndian(header[2..]), payload);
    }

    private static uint ChecksumOf(ReadOnlySpan<byte> header, ReadOnlySequence<byte> payload)
    {
        uint crc = Crc32C.Append(Crc32C.Start, header[..12]);
        foreach (ReadOnlyMemory<byte> part in payload)
        {
            crc = Crc32C.Append(crc, part.Span);
        }

        return Crc32C.Finish(crc);
    }

    /// <summary>At least so many bytes; null if the stream ends before.</summary>
    private ReadOnlySequence<byte>? Fill(int bytes)
    {
        if (_consumed is { } consumed)
        {
            _pipe.AdvanceTo(consumed);
            _consumed = null;
        }

        ValueTask<ReadResult> pending = _pipe.ReadAtLeastAsync(bytes);
        ReadResult result = pending.IsCompletedSuccessfully ? pending.Result : pending.AsTask().GetAwaiter().GetResult();
        if (result.Buffer.Length >= bytes)
        {
            return result.Buffer;
        }

        bool isEmpty = result.Buffer.IsEmpty;
        _pipe.AdvanceTo(result.Buffer.End);
        return isEmpty || result.IsCompleted ? null : throw new MigrationException("the connection was given up");
    }
}
