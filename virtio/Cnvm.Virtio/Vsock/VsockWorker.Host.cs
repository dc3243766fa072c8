using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Vsock;

/// <content>Sockets of host programs.</content>
internal sealed unsafe partial class VsockWorker
{
    /// <summary>"CONNECT 4294967295\n" and some room.</summary>
    private const int MaxGreeting = 32;
    private const uint SocketEvents = Libc.EPOLLIN | Libc.EPOLLOUT | Libc.EPOLLRDHUP | Libc.EPOLLET;

    private void Accept()
    {
        while (!_table.IsFull)
        {
            try
            {
                if (_listener.Accept() is not { } stream)
                {
                    _mayAccept = false;
                    return;
                }

                Add(stream, VsockPhase.Greeting);
            }
            catch (LinuxException e)
            {
                // No descriptors left, as a rule: tried again when a connection ends or another program connects.
                _mayAccept = false;
                if (_acceptLimit.TryTake(out long suppressed))
                {
                    LogAcceptFailed(Logger, _id, e.Errno, suppressed);
                }

                return;
            }
        }
    }

    /// <summary>Begins to watch a socket, which is closed when that fails.</summary>
    private VsockConnection? Add(UnixStream stream, VsockPhase phase)
    {
        int slot = _table.Reserve();
        var connection = new VsockConnection(stream, slot, phase);
        _table.Put(connection);
        try
        {
            Watch(stream.Fd, SocketEvents, _table.TokenOf(slot));
            return connection;
        }
        catch (LinuxException)
        {
            _table.Remove(connection);
            connection.Dispose();
            return null;
        }
    }

    private void OnSocket(VsockConnection connection, uint events)
    {
        bool isHungUp = (events & (Libc.EPOLLHUP | Libc.EPOLLERR)) != 0;
        if (isHungUp && connection.Phase is VsockPhase.Greeting or VsockPhase.Requested)
        {
            // Nobody is left who would want the guest's answer.
            Abort(connection);
            return;
        }

        connection.IsReadable |= (events & (Libc.EPOLLIN | Libc.EPOLLRDHUP)) != 0 || isHungUp;
        connection.IsEnding |= (events & Libc.EPOLLRDHUP) != 0 || isHungUp;
        if (connection.Phase == VsockPhase.Greeting)
        {
            Greet(connection);
            return;
        }

        if (isHungUp)
        {
            connection.IsHungUp = true;
            if ((connection.HostShutdown & VsockSpec.ShutdownSend) != 0 && !connection.IsWritingOver)
            {
                // The end of its bytes has been announced already; now it takes none any more either.
                StopWriting(connection);
            }
        }

        if (connection.IsReadable || connection.Signals != VsockSignals.None)
        {
            Enqueue(connection);
        }

        if ((events & Libc.EPOLLOUT) != 0 || isHungUp)
        {
            connection.IsWritable = true;
            Flush(connection);
        }
    }

    /// <summary>Sends on what a socket had not taken.</summary>
    private void Flush(VsockConnection connection)
    {
        IoVec* vectors = stackalloc IoVec[2];
        while (connection.Unsent.Count > 0 && connection.IsWritable)
        {
            uint waiting = connection.Unsent.Count;
            connection.Unsent.Remove(Write(connection, vectors, connection.Unsent.Describe(vectors), waiting));
        }

        if (connection.Phase == VsockPhase.Draining)
        {
            if (connection.Unsent.Count == 0)
            {
                Forget(connection);
            }
        }
        else if (connection.Phase == VsockPhase.Open)
        {
            GiveCreditIfOwed(connection);
            EndIfOver(connection);
        }
    }

    /// <summary>Reads "CONNECT port" of a host program, and not one byte more: what follows is the guest's.</summary>
    private void Greet(VsockConnection connection)
    {
        Span<byte> line = stackalloc byte[MaxGreeting];
        nint got = connection.Stream.Peek(line);
        if (got == -Errno.EAGAIN)
        {
            return;
        }

        int end = got > 0 ? line[..(int)got].IndexOf((byte)'\n') : -1;
        if (end < 0 && got > 0 && got < MaxGreeting && !connection.IsEnding)
        {
            // The rest is on its way.
            return;
        }

        if (end < 0 || !TryParse(line[..end], out uint port) || !TryTake(connection.Stream, line[..(end + 1)]))
        {
            Volatile.Write(ref _refused, _refused + 1);
            Forget(connection);
            return;
        }

        connection.Phase = VsockPhase.Requested;
        _table.Bind(connection, _table.NextHostPort(port), port);
        connection.Signals = VsockSignals.Request;
        Enqueue(connection);
    }

    private static bool TryTake(UnixStream stream, Span<byte> line)
    {
        fixed (byte* bytes = line)
        {
            // SAFETY: the vector covers the span, which is pinned.
            var vector = new IoVec { Base = (nint)bytes, Length = (nuint)line.Length };
            return stream.Read(&vector, 1) == line.Length;
        }
    }

    /// <summary>"CONNECT" in any case, a space, and a port in decimal; a carriage return at the end does no harm.</summary>
    private static bool TryParse(ReadOnlySpan<byte> line, out uint port)
    {
        port = 0;
        ReadOnlySpan<byte> word = "CONNECT "u8;
        if (line.Length <= word.Length || !Ascii.EqualsIgnoreCase(line[..word.Length], word))
        {
            return false;
        }

        ReadOnlySpan<byte> digits = line[word.Length..].TrimEnd((byte)'\r');
        return char.IsAsciiDigit((char)digits[0]) && Utf8Parser.TryParse(digits, out port, out int used) && used == digits.Length;
    }

    /// <summary>Tells the host program that the guest agreed.</summary>
    private static bool TryAnswer(VsockConnection connection)
    {
        byte* text = stackalloc byte[MaxGreeting];
        var line = new Span<byte>(text, MaxGreeting);
        "OK "u8.CopyTo(line);
        connection.HostPort.TryFormat(line[3..], out int digits, default, CultureInfo.InvariantCulture);
        line[3 + digits] = (byte)'\n';
        // SAFETY: the vector covers what was written to the stack above. A new socket has room for a line.
        var vector = new IoVec { Base = (nint)text, Length = (nuint)(4 + digits) };
        return connection.Stream.Write(&vector, 1) == 4 + digits;
    }

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "{Device}: a host program's connection could not be accepted (errno {Errno}; {Suppressed} like it not shown)")]
    private static partial void LogAcceptFailed(ILogger logger, string device, int errno, long suppressed);
}
