using System.Buffers.Binary;
using Cnvm.Devices.Bus;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Net;

/// <content>
/// Receiving. A frame goes straight into the guest's buffers, and the same read takes the length of the next one, so that a frame costs one call. Only
/// what comes in pieces is collected here first.
/// </content>
public sealed unsafe partial class StreamBackend
{
    /// <summary>Frames that one read passes over: the queue's thread has to hear of other things, too.</summary>
    private const int DropsPerRead = 64;

    private readonly LogRateLimit _dropLimit = new();
    private bool _isReadWatched;

    // The next frame's length, and behind it what has come of a frame that came in pieces.
    private byte* _received;
    private IoVec* _receivePieces;
    private int _lengthDone;
    private int _frameBytes;
    private int _frameDone;

    private static ReadOnlySpan<byte> EmptyHeader => "\0\0\0\0\0\0\0\0\0\0\0\0"u8;

    private Span<byte> Frame => new(_received + LengthBytes, NetSpec.MaxFrameBytes);

    public nint Read(int queue, IoVec* vectors, int count)
    {
        lock (_receiveGate)
        {
            long room = (long)VectorCopy.Total(vectors, count) - NetSpec.HeaderBytes;
            for (int drops = 0; drops < DropsPerRead; drops++)
            {
                if (_stream is not { } stream || !TryLength(stream))
                {
                    break;
                }

                bool isTaken = _frameBytes >= NetSpec.MinFrameBytes && _frameBytes <= room;
                bool isDirect = isTaken && _frameDone == 0;
                if (!TryFrame(stream, isDirect ? Place(vectors, count) : 0))
                {
                    break;
                }

                int bytes = _frameBytes;
                if (isTaken && !isDirect)
                {
                    VectorCopy.Scatter(Frame[..bytes], _receivePieces, Place(vectors, count));
                }

                _frameBytes = 0;
                _frameDone = 0;
                if (isTaken)
                {
                    VectorCopy.Scatter(EmptyHeader, vectors, count);
                    return NetSpec.HeaderBytes + bytes;
                }

                Drop(bytes, room);
            }

            return -Errno.EAGAIN;
        }
    }

    /// <summary>Prepares the pieces behind the header that the frame fills; returns how many.</summary>
    private int Place(IoVec* vectors, int count) =>
        DescriptorChain.Slice(new ReadOnlySpan<IoVec>(vectors, count), NetSpec.HeaderBytes, (uint)_frameBytes, _receivePieces);

    /// <summary>Sees to it that the length of the frame that comes next is known.</summary>
    private bool TryLength(UnixStream stream)
    {
        if (_frameBytes > 0)
        {
            return true;
        }

        if (_lengthDone < LengthBytes)
        {
            IoVec piece = RestOfLength();
            nint got = stream.Read(&piece, 1);
            if (IsEnd(stream, got))
            {
                return false;
            }

            _lengthDone += (int)got;
            if (_lengthDone < LengthBytes)
            {
                return false;
            }
        }

        uint bytes = BinaryPrimitives.ReadUInt32BigEndian(new ReadOnlySpan<byte>(_received, LengthBytes));
        if (bytes is 0 or > NetSpec.MaxFrameBytes)
        {
            StopReading(stream);
            Fail(stream, $"it announces a frame of {bytes} bytes, and 1 to {NetSpec.MaxFrameBytes} are possible");
            return false;
        }

        _frameBytes = (int)bytes;
        _lengthDone = 0;
        return true;
    }

    /// <summary>Reads the frame, or what there is of it, and the length of the next one.</summary>
    /// <param name="pieces">Where it goes if it comes whole, as many of the prepared pieces; 0: only here.</param>
    /// <returns>False if it is not whole yet: what there is of it lies here.</returns>
    private bool TryFrame(UnixStream stream, int pieces)
    {
        bool isDirect = pieces > 0;
        if (!isDirect)
        {
            // SAFETY: the frame's length was checked against the buffer.
            _receivePieces[pieces++] = new IoVec { Base = (nint)(_received + LengthBytes + _frameDone), Length = (nuint)(_frameBytes - _frameDone) };
        }

        bool hasLength = pieces < IoVec.MaxCount;
        if (hasLength)
        {
            _receivePieces[pieces] = RestOfLength();
        }

        nint got = stream.Read(_receivePieces, hasLength ? pieces + 1 : pieces);
        if (IsEnd(stream, got))
        {
            return false;
        }

        int part = (int)Math.Min(got, _frameBytes - _frameDone);
        if (isDirect && part < _frameBytes)
        {
            // The buffers stay the device's and their contents nobody's: the whole frame is written there when it is given to the driver.
            VectorCopy.Gather(_receivePieces, pieces, 0, Frame[..part]);
        }

        _frameDone += part;
        _lengthDone = (int)got - part;
        return _frameDone == _frameBytes;
    }

    // SAFETY: the length's place has LengthBytes bytes, of which fewer are there.
    private IoVec RestOfLength() => new() { Base = (nint)(_received + _lengthDone), Length = (nuint)(LengthBytes - _lengthDone) };

    private bool IsEnd(UnixStream stream, nint got)
    {
        if (got > 0)
        {
            return false;
        }

        if (got is not (-Errno.EAGAIN or -Errno.EINTR))
        {
            StopReading(stream);
            Fail(stream, got is 0 or -Errno.ECONNRESET ? "it has closed the connection" : $"reading fails (errno {-got})");
        }

        return true;
    }

    /// <summary>A socket at its end is readable for good, and would not let the queue's thread sleep.</summary>
    private void StopReading(UnixStream stream)
    {
        if (_isReadWatched)
        {
            _isReadWatched = false;
            _readable.Remove(stream.Fd);
        }
    }

    private void Drop(int bytes, long room)
    {
        if (_dropLimit.TryTake(out long suppressed))
        {
            LogDropped(_logger, _id, bytes, room, suppressed);
        }
    }

    [LoggerMessage(
        Level = LogLevel.Debug,
        Message = "{Device}: a frame of {Bytes} bytes does not fit into a receive buffer of {Room}, or is none ({Suppressed} like it not shown)")]
    private static partial void LogDropped(ILogger logger, string device, int bytes, long room, long suppressed);
}
