using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Cnvm.Linux;
using Spec = Cnvm.Virtio.VhostUser.VhostUserSpec;

namespace Cnvm.Virtio.VhostUser;

/// <summary>
/// Messages to a back end and its answers. Nothing that the back end sends, or does not send, makes a method wait beyond the limit of the
/// step, read more than was asked for, or keep a descriptor. After a failure the channel is of no use. One thread at a time.
/// </summary>
internal sealed class VhostUserChannel(UnixStream stream, TimeSpan limit) : IDisposable
{
    private readonly List<FileDescriptor> _descriptors = [];
    private readonly byte[] _message = new byte[Spec.HeaderBytes + 8 + (Spec.MaxTableRegions * 32) + Spec.MaxConfigBytes];
    private long _deadline = DeadlineAfter(limit);

    /// <summary>The socket, to watch for the back end's end.</summary>
    public int Fd => stream.Fd;

    /// <summary>Protocol features that were agreed on.</summary>
    public ulong ProtocolFeatures { get; set; }

    /// <summary>A step begins: its time counts from now.</summary>
    public void BeginStep() => _deadline = DeadlineAfter(limit);

    /// <summary>Sends a message; waits for the acknowledgement where that was agreed on.</summary>
    /// <exception cref="VhostUserException">The back end has gone, is too slow, or refuses.</exception>
    public void Send(uint request, ReadOnlySpan<byte> payload, ReadOnlySpan<int> descriptors = default)
    {
        bool acknowledged = (ProtocolFeatures & Spec.ReplyAck) != 0 && request is not (Spec.SetProtocolFeatures or Spec.SetOwner);
        Write(request, acknowledged ? Spec.NeedReply : 0, payload, descriptors);
        if (acknowledged && ReadNumber(request) is not 0 and var result)
        {
            throw new VhostUserException($"the back end refuses message {request} ({result})");
        }
    }

    /// <inheritdoc cref="Send(uint, ReadOnlySpan{byte}, ReadOnlySpan{int})"/>
    public void Send<T>(uint request, in T payload, ReadOnlySpan<int> descriptors = default)
        where T : unmanaged
    {
        Span<byte> bytes = stackalloc byte[Unsafe.SizeOf<T>()];
        MemoryMarshal.Write(bytes, in payload);
        Send(request, bytes, descriptors);
    }

    /// <summary>Sends a message that always has an answer, and reads that.</summary>
    /// <param name="reply">Where the answer goes.</param>
    /// <returns>Bytes of the answer, at most as many as there is room for.</returns>
    /// <exception cref="VhostUserException">The back end has gone, is too slow, or answers nonsense.</exception>
    public int Ask(uint request, ReadOnlySpan<byte> payload, Span<byte> reply, ReadOnlySpan<int> descriptors = default)
    {
        Write(request, 0, payload, descriptors);
        return Read(request, reply, 0);
    }

    /// <summary>Sends a message whose answer brings a descriptor, which the caller owns.</summary>
    /// <returns>Bytes of the answer.</returns>
    /// <exception cref="VhostUserException">The back end has gone, is too slow, or answers nonsense.</exception>
    public int AskForFile(uint request, ReadOnlySpan<byte> payload, Span<byte> reply, out FileDescriptor file)
    {
        Write(request, 0, payload, default);
        int count = Read(request, reply, 1);
        if (_descriptors.Count == 0)
        {
            throw new VhostUserException($"the answer to message {request} brings no descriptor");
        }

        file = _descriptors[0];
        _descriptors.Clear();
        return count;
    }

    /// <summary>Sends a message that always has a number for an answer.</summary>
    /// <exception cref="VhostUserException">The back end has gone, is too slow, or answers nonsense.</exception>
    public ulong AskNumber(uint request)
    {
        Write(request, 0, default, default);
        return ReadNumber(request);
    }

    public void Dispose()
    {
        ForgetDescriptors();
        stream.Dispose();
    }

    private static long DeadlineAfter(TimeSpan time) => Stopwatch.GetTimestamp() + (long)(time.TotalSeconds * Stopwatch.Frequency);

    private ulong ReadNumber(uint request)
    {
        Span<byte> number = stackalloc byte[sizeof(ulong)];
        int count = Read(request, number, 0);
        return count == number.Length
            ? BinaryPrimitives.ReadUInt64LittleEndian(number)
            : throw new VhostUserException($"the answer to message {request} is {count} bytes, not a number");
    }

    private void Write(uint request, uint flags, ReadOnlySpan<byte> payload, ReadOnlySpan<int> descriptors)
    {
        Span<byte> message = _message.AsSpan(0, Spec.HeaderBytes + payload.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(message, request);
        BinaryPrimitives.WriteUInt32LittleEndian(message[4..], Spec.Version | flags);
        BinaryPrimitives.WriteUInt32LittleEndian(message[8..], (uint)payload.Length);
        payload.CopyTo(message[Spec.HeaderBytes..]);
        while (!message.IsEmpty)
        {
            int sent = Guard(stream.Send(message, descriptors), PollEntry.Out, request);
            if (sent > 0)
            {
                // Descriptors travel with the first byte.
                message = message[sent..];
                descriptors = default;
            }
        }
    }

    /// <param name="descriptors">How many may come along.</param>
    private int Read(uint request, Span<byte> payload, int descriptors)
    {
        ForgetDescriptors();
        Span<byte> header = stackalloc byte[Spec.HeaderBytes];
        Fill(request, header, descriptors);
        uint answered = BinaryPrimitives.ReadUInt32LittleEndian(header);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        uint size = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        if (answered != request || (flags & Spec.VersionMask) != Spec.Version || (flags & Spec.Reply) == 0 || size > payload.Length)
        {
            throw new VhostUserException($"the answer to message {request} is one to {answered} with flags 0x{flags:x} and {size} bytes");
        }

        Fill(request, payload[..(int)size], descriptors);
        return (int)size;
    }

    private void Fill(uint request, Span<byte> bytes, int descriptors)
    {
        while (!bytes.IsEmpty)
        {
            int count = stream.Receive(bytes, _descriptors, descriptors - _descriptors.Count, out bool wereMore);
            if (wereMore)
            {
                throw new VhostUserException($"the answer to message {request} brings descriptors that nobody has asked for");
            }

            int got = Guard(count, PollEntry.In, request);
            bytes = bytes[Math.Max(got, 0)..];
        }
    }

    /// <summary>Waits if there is nothing to do yet.</summary>
    private int Guard(int count, short events, uint request)
    {
        if (count == 0)
        {
            throw new VhostUserException($"the back end has closed the connection (message {request})");
        }

        long left = (_deadline - Stopwatch.GetTimestamp()) * 1000 / Stopwatch.Frequency;
        if (left <= 0)
        {
            // Also for one that sends or takes a byte now and then.
            throw new VhostUserException($"the back end takes longer than {limit.TotalSeconds:0.#} s (message {request})");
        }

        if (count < 0)
        {
            Span<PollEntry> entry = [new PollEntry { Fd = stream.Fd, Events = events }];
            _ = Poll.Wait(entry, (int)left + 1);
        }

        return count;
    }

    private void ForgetDescriptors()
    {
        foreach (FileDescriptor descriptor in _descriptors)
        {
            ForeignDescriptors.Close(descriptor);
        }

        _descriptors.Clear();
    }
}
