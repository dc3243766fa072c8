using System.Buffers.Binary;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Net;

/// <content>
/// Sending. A frame goes straight from the guest's buffers; when the socket takes only its beginning, the rest is kept here, and no other frame is
/// taken before it has gone.
/// </content>
public sealed unsafe partial class StreamBackend
{
    private byte* _unsent;
    private IoVec* _sendPieces;
    private int _unsentBytes;
    private int _unsentDone;

    public nint Write(int queue, IoVec* vectors, int count)
    {
        lock (_sendGate)
        {
            if (_stream is not { } stream)
            {
                _ = _gone.Drain();
                return -Errno.ENOTCONN;
            }

            if (!TryFlush(stream))
            {
                return -Errno.EAGAIN;
            }

            ulong total = VectorCopy.Total(vectors, count);
            if (total is <= NetSpec.HeaderBytes or > NetSpec.HeaderBytes + NetSpec.MaxFrameBytes)
            {
                return -Errno.EMSGSIZE;
            }

            uint bytes = (uint)total - NetSpec.HeaderBytes;
            uint length = BinaryPrimitives.ReverseEndianness(bytes);
            // SAFETY: there is room for the length and as many pieces as a chain has.
            _sendPieces[0] = new IoVec { Base = (nint)(&length), Length = LengthBytes };
            int pieces = 1 + DescriptorChain.Slice(new ReadOnlySpan<IoVec>(vectors, count), NetSpec.HeaderBytes, bytes, _sendPieces + 1);
            nint sent = stream.Write(_sendPieces, Math.Min(pieces, IoVec.MaxCount));
            if (sent < 0)
            {
                return Refused(stream, sent);
            }

            int rest = LengthBytes + (int)bytes - (int)sent;
            if (rest > 0)
            {
                VectorCopy.Gather(_sendPieces, pieces, (nuint)sent, new Span<byte>(_unsent, rest));
                _unsentBytes = rest;
                _unsentDone = 0;
                _keeper.WatchRoom(stream.Fd, isWanted: true);
            }

            return (nint)total;
        }
    }

    /// <summary>Sends what is left of the last frame; false while there is no room for it.</summary>
    private bool TryFlush(UnixStream stream)
    {
        while (_unsentDone < _unsentBytes)
        {
            var piece = new IoVec { Base = (nint)(_unsent + _unsentDone), Length = (nuint)(_unsentBytes - _unsentDone) };
            nint sent = stream.Write(&piece, 1);
            if (sent == -Errno.EAGAIN)
            {
                return false;
            }

            if (sent < 0)
            {
                _unsentBytes = 0;
                _unsentDone = 0;
                _ = Refused(stream, sent);
                return true;
            }

            _unsentDone += (int)sent;
        }

        if (_unsentBytes > 0)
        {
            _unsentBytes = 0;
            _unsentDone = 0;
            _keeper.WatchRoom(stream.Fd, isWanted: false);
        }

        return true;
    }

    /// <summary>What a frame that the socket did not take comes to.</summary>
    private nint Refused(UnixStream stream, nint error)
    {
        if (error is -Errno.EAGAIN or -Errno.EINTR)
        {
            return -Errno.EAGAIN;
        }

        Fail(stream, error is -Errno.EPIPE or -Errno.ECONNRESET ? "it has closed the connection" : $"writing fails (errno {-error})");
        return -Errno.ENOTCONN;
    }
}
