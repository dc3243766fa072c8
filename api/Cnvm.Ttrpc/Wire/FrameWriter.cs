using System.Buffers;
using System.Threading.Channels;

namespace Cnvm.Ttrpc.Wire;

/// <summary>Sends frames, each whole and one after the other, for any number of callers. Owns nothing.</summary>
internal sealed class FrameWriter(Stream stream)
{
    // Who has put something into its one place may send.
    private readonly Channel<bool> _turn = Channel.CreateBounded<bool>(1);
    private readonly ProtoWriter _writer = new();

    /// <summary>
    /// Sends one frame. <paramref name="cancellation"/> ends the wait for the turn; a frame that has been begun is sent to its end, or the
    /// next one would not be one.
    /// </summary>
    /// <param name="type">What the data is.</param>
    /// <param name="streamId">Asked for the frame's stream when it is its turn, so that numbers go out in their order.</param>
    /// <param name="write">Writes the data.</param>
    /// <exception cref="IOException">The stream is broken.</exception>
    /// <exception cref="TtrpcException">The data has more than <see cref="FrameHeader.MaxData"/> bytes; nothing was sent.</exception>
    public async Task SendAsync(FrameType type, Func<uint> streamId, Action<ProtoWriter> write, CancellationToken cancellation)
    {
        await _turn.Writer.WriteAsync(true, cancellation).ConfigureAwait(false);
        byte[]? frame = null;
        try
        {
            _writer.Reset();
            write(_writer);
            int length = _writer.Length;
            if (length > FrameHeader.MaxData)
            {
                throw new TtrpcException(TtrpcCode.ResourceExhausted, $"message length {length} exceed maximum message size of {FrameHeader.MaxData}");
            }
            frame = ArrayPool<byte>.Shared.Rent(FrameHeader.Bytes + length);
            new FrameHeader((uint)length, streamId(), type, Flags: 0).Write(frame);
            _writer.CopyTo(frame.AsSpan(FrameHeader.Bytes));
            await WriteAsync(frame.AsMemory(0, FrameHeader.Bytes + length)).ConfigureAwait(false);
        }
        finally
        {
            if (frame is not null)
            {
                ArrayPool<byte>.Shared.Return(frame);
            }
            _turn.Reader.TryRead(out _);
        }
    }

    private async ValueTask WriteAsync(ReadOnlyMemory<byte> frame)
    {
        try
        {
            await stream.WriteAsync(frame, CancellationToken.None).ConfigureAwait(false);
            await stream.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not IOException)
        {
            throw new IOException(e.Message, e);
        }
    }
}
