using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Text;
using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Migration;

/// <summary>Writes messages: header, sequence number, checksum (PROTOCOL.md). One thread.</summary>
internal sealed class FrameWriter
{
    private readonly PipeWriter _pipe;
    private uint _sequence;
    private Memory<byte> _frame;

    /// <param name="stream">Not owned. Its writes block, so nothing here is ever left pending.</param>
    public FrameWriter(Stream stream) =>
        _pipe = PipeWriter.Create(stream, new StreamPipeWriterOptions(minimumBufferSize: 64 << 10, leaveOpen: true));

    /// <summary>Bytes written so far.</summary>
    public long Bytes { get; private set; }

    /// <summary>The first bytes of a connection.</summary>
    public void WriteMagic()
    {
        MigrationWire.Magic.CopyTo(_pipe.GetSpan(MigrationWire.Magic.Length));
        _pipe.Advance(MigrationWire.Magic.Length);
        Bytes += MigrationWire.Magic.Length;
    }

    /// <summary>Room for a payload of at most so many bytes; <see cref="End"/> sends it.</summary>
    public Span<byte> Begin(int bytes)
    {
        _frame = _pipe.GetMemory(MigrationWire.HeaderBytes + bytes);
        return _frame.Span.Slice(MigrationWire.HeaderBytes, bytes);
    }

    /// <summary>Completes what <see cref="Begin"/> began, and sends it.</summary>
    public void End(FrameType type, int bytes, ushort flags = 0)
    {
        Span<byte> frame = _frame.Span[..(MigrationWire.HeaderBytes + bytes)];
        BinaryPrimitives.WriteUInt16LittleEndian(frame, (ushort)type);
        BinaryPrimitives.WriteUInt16LittleEndian(frame[2..], flags);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[4..], (uint)bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[8..], _sequence++);
        uint crc = Crc32C.Append(Crc32C.Append(Crc32C.Start, frame[..12]), frame[MigrationWire.HeaderBytes..]);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[12..], Crc32C.Finish(crc));
        _pipe.Advance(frame.Length);
        Bytes += frame.Length;
        Flush();
    }

    public void Write(FrameType type, ReadOnlySpan<byte> payload = default)
    {
        payload.CopyTo(Begin(payload.Length));
        End(type, payload.Length);
    }

    /// <summary>A message whose payload is a reason for people, cut to the longest that is allowed.</summary>
    public void WriteReason(FrameType type, string reason)
    {
        Span<byte> room = Begin(MigrationWire.MaxReasonBytes);
        Encoding.UTF8.GetEncoder().Convert(reason, room, flush: true, out _, out int bytes, out _);
        End(type, bytes);
    }

    private void Flush()
    {
        ValueTask<FlushResult> flush = _pipe.FlushAsync();
        if (!flush.IsCompletedSuccessfully)
        {
            flush.AsTask().GetAwaiter().GetResult();
        }
    }
}
