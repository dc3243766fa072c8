using System.Buffers.Binary;
using System.Diagnostics;
using Cnvm.Linux;
using Spec = Cnvm.Virtio.VhostUser.VhostUserSpec;

namespace Cnvm.Virtio.VhostUser.Serving;

/// <summary>
/// Messages of a front end and answers to them. Nothing that it sends, or does not send, makes a method wait beyond the limit for a message
/// that has begun, read more than a message may have, or keep a descriptor. One thread.
/// </summary>
internal sealed class FrontEndChannel : IDisposable
{
    // The longest are tables of memory and configuration spaces.
    private const int MaxPayload = Spec.ConfigHeaderBytes + Spec.MaxConfigBytes;
    private readonly UnixStream _stream;
    private readonly EventFd _stop;
    private readonly TimeSpan _limit;
    private readonly List<FileDescriptor> _received = [];
    private readonly byte[] _message = new byte[Spec.HeaderBytes + MaxPayload];
    private int _payloadBytes;
    private int _taken;
    private long _deadline;

    /// <param name="stream">One that does not block. Owned from now on.</param>
    /// <param name="stop">Ends every wait when it is signalled.</param>
    /// <param name="limit">For one message, or one answer, from its first byte to its last.</param>
    public FrontEndChannel(UnixStream stream, EventFd stop, TimeSpan limit)
    {
        _stream = stream;
        _stop = stop;
        _limit = limit;
    }

    public uint Request { get; private set; }

    /// <summary>The front end wants an answer even where the message has none of its own.</summary>
    public bool NeedsReply { get; private set; }

    public ReadOnlySpan<byte> Payload => _message.AsSpan(Spec.HeaderBytes, _payloadBytes);

    /// <summary>Descriptors that came along.</summary>
    public int DescriptorCount => _received.Count;

    /// <summary>Reads the next message; what the one before brought and nobody took is closed.</summary>
    /// <returns>False when the front end has closed the connection, or is to be left.</returns>
    /// <exception cref="VhostUserException">It is no message, or takes too long.</exception>
    public bool TryReceive()
    {
        ForgetDescriptors();
        if (!ForeignDescriptors.AwaitRoom(_limit))
        {
            throw new VhostUserException("descriptors that it has sent cannot be closed");
        }

        // One that never stops talking does not keep the program from ending.
        Span<PollEntry> stop = [new PollEntry { Fd = _stop.Fd, Events = PollEntry.In }];
        if (Poll.Wait(stop, 0) > 0)
        {
            return false;
        }

        _deadline = 0;
        Span<byte> header = _message.AsSpan(0, Spec.HeaderBytes);
        if (!TryFill(header))
        {
            return false;
        }

        Request = BinaryPrimitives.ReadUInt32LittleEndian(header);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        uint size = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        if ((flags & Spec.VersionMask) != Spec.Version || (flags & Spec.Reply) != 0 || size > MaxPayload)
        {
            throw new VhostUserException($"message {Request} has flags 0x{flags:x} and {size} bytes");
        }

        NeedsReply = (flags & Spec.NeedReply) != 0;
        _payloadBytes = (int)size;
        return TryFill(_message.AsSpan(Spec.HeaderBytes, _payloadBytes));
    }

    /// <summary>Takes the next descriptor that came along; the caller owns it.</summary>
    public FileDescriptor TakeDescriptor() => _received[_taken++];

    /// <summary>Answers the message that came last.</summary>
    /// <exception cref="VhostUserException">The front end does not take it in time, or is to be left.</exception>
    public void Reply(ReadOnlySpan<byte> payload, ReadOnlySpan<int> descriptors = default)
    {
        Span<byte> answer = stackalloc byte[Spec.HeaderBytes + MaxPayload];
        answer = answer[..(Spec.HeaderBytes + payload.Length)];
        BinaryPrimitives.WriteUInt32LittleEndian(answer, Request);
        BinaryPrimitives.WriteUInt32LittleEndian(answer[4..], Spec.Version | Spec.Reply);
        BinaryPrimitives.WriteUInt32LittleEndian(answer[8..], (uint)payload.Length);
        payload.CopyTo(answer[Spec.HeaderBytes..]);
        _deadline = Now() + (long)_limit.TotalMilliseconds;
        ReadOnlySpan<byte> rest = answer;
        while (!rest.IsEmpty)
        {
            int sent = _stream.Send(rest, descriptors);
            if (sent == 0 || (sent < 0 && !Wait(PollEntry.Out)))
            {
                throw new VhostUserException($"the front end has gone before it took the answer to message {Request}");
            }

            if (sent > 0)
            {
                rest = rest[sent..];
                descriptors = default;
            }
        }
    }

    public void Dispose()
    {
        ForgetDescriptors();
        _stream.Dispose();
    }

    private static long Now() => Stopwatch.GetTimestamp() * 1000 / Stopwatch.Frequency;

    private bool TryFill(Span<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int count = _stream.Receive(bytes, _received, Spec.MaxTableRegions - _received.Count, out bool wereMore);
            if (wereMore)
            {
                throw new VhostUserException($"a message brings more than {Spec.MaxTableRegions} descriptors");
            }

            if (count == 0)
            {
                return _deadline == 0 ? false : throw new VhostUserException("the front end has closed the connection in the middle of a message");
            }

            if (count < 0)
            {
                if (!Wait(PollEntry.In))
                {
                    return false;
                }

                continue;
            }

            // It is not put off by one that sends a byte now and then: each wait gets what is left.
            _deadline = _deadline != 0 ? _deadline : Now() + (long)_limit.TotalMilliseconds;
            bytes = bytes[count..];
        }

        return true;
    }

    /// <summary>Waits for the socket; false when the front end is to be left.</summary>
    private bool Wait(short events)
    {
        long left = _deadline == 0 ? -1 : Math.Max(_deadline - Now(), 0);
        Span<PollEntry> entries = [new PollEntry { Fd = _stop.Fd, Events = PollEntry.In }, new PollEntry { Fd = _stream.Fd, Events = events }];
        return Poll.Wait(entries, (int)left) > 0
            ? entries[0].Returned == 0
            : throw new VhostUserException($"the front end takes longer than {_limit.TotalSeconds:0.#} s for one message");
    }

    private void ForgetDescriptors()
    {
        foreach (FileDescriptor descriptor in _received.Skip(_taken))
        {
            ForeignDescriptors.Close(descriptor);
        }

        _received.Clear();
        _taken = 0;
    }
}
