using System.Buffers.Binary;

namespace Cnvm.Linux;

/// <summary>Questions and orders to the kernel's network configuration (rtnetlink(7)), in the network namespace that the thread is in when it makes this. One thread.</summary>
public sealed class RouteSocket : IDisposable
{
    /// <summary>What is there already is replaced.</summary>
    public const ushort Replace = 0x100;

    /// <summary>What is there already is refused.</summary>
    public const ushort Exclusive = 0x200;

    /// <summary>What is not there is made.</summary>
    public const ushort Create = 0x400;
    private const ushort Request = 1;
    private const ushort Acknowledge = 4;
    private const ushort Dump = 0x300;
    private const ushort ErrorType = 2;
    private const ushort DoneType = 3;
    private const int HeaderBytes = 16;
    private const int BufferBytes = 1 << 16;
    private readonly NetlinkSocket _socket = new(NetlinkSocket.NETLINK_ROUTE, 0);
    private readonly byte[] _buffer = new byte[BufferBytes];
    private uint _sequence;

    /// <summary>Sends an order and waits for its outcome.</summary>
    /// <param name="flags">Beyond request and acknowledge.</param>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Order(string what, ushort type, ushort flags, ReadOnlySpan<byte> body, Func<NetlinkMessage, NetlinkMessage> fill)
    {
        int error = TryOrder(type, flags, body, fill);
        if (error != 0)
        {
            throw new LinuxException(what, error);
        }
    }

    /// <inheritdoc cref="Order"/>
    /// <returns>0, or the error number.</returns>
    public int TryOrder(ushort type, ushort flags, ReadOnlySpan<byte> body, Func<NetlinkMessage, NetlinkMessage> fill)
    {
        ArgumentNullException.ThrowIfNull(fill);
        _socket.Send(fill(new NetlinkMessage(type, (ushort)(flags | Request | Acknowledge), body)).Build(++_sequence));
        int error = 0;
        Receive((kind, content) =>
        {
            error = kind == ErrorType ? -BinaryPrimitives.ReadInt32LittleEndian(content) : error;
            return kind != ErrorType;
        });
        return error;
    }

    /// <summary>Asks for everything of a kind.</summary>
    /// <param name="bodyBytes">Length of the fixed part of answers.</param>
    /// <param name="most">Answers that are taken.</param>
    /// <exception cref="LinuxException">The kernel refuses, or has more (EOVERFLOW).</exception>
    public List<NetlinkAnswer> List(string what, ushort type, ReadOnlySpan<byte> body, int bodyBytes, int most = int.MaxValue)
    {
        _socket.Send(new NetlinkMessage(type, Request | Dump, body).Build(++_sequence));
        var answers = new List<NetlinkAnswer>();
        int error = 0;
        Receive((kind, content) =>
        {
            if (kind is DoneType or ErrorType)
            {
                error = kind == ErrorType ? -BinaryPrimitives.ReadInt32LittleEndian(content) : 0;
                return false;
            }

            if (answers.Count == most)
            {
                error = Errno.EOVERFLOW;
                return false;
            }

            answers.Add(new NetlinkAnswer(content, bodyBytes));
            return true;
        });
        return error == 0 ? answers : throw new LinuxException(what, error);
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private delegate bool Taker(ushort kind, ReadOnlySpan<byte> content);

    private void Receive(Taker take)
    {
        while (true)
        {
            ReadOnlySpan<byte> rest = _buffer.AsSpan(0, _socket.Receive(_buffer));
            while (rest.Length >= HeaderBytes)
            {
                int length = BinaryPrimitives.ReadInt32LittleEndian(rest);
                if (length < HeaderBytes || length > rest.Length)
                {
                    throw new LinuxException("read an answer of rtnetlink", Errno.EPROTO);
                }

                // Answers to an order that failed half way may still be under way.
                if (BinaryPrimitives.ReadUInt32LittleEndian(rest[8..]) == _sequence
                    && !take(BinaryPrimitives.ReadUInt16LittleEndian(rest[4..]), rest[HeaderBytes..length]))
                {
                    return;
                }

                rest = rest[Math.Min(rest.Length, (length + 3) & ~3)..];
            }
        }
    }
}
