using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Vsock;

/// <content>Packets from the guest (virtio 1.2 §5.10.6).</content>
internal sealed unsafe partial class VsockWorker
{
    /// <summary>Takes packets; true when there may be more.</summary>
    private bool Take()
    {
        if (Transmitting is not { } queue)
        {
            return false;
        }

        for (int i = 0; i < PacketsPerTurn; i++)
        {
            if (_resets.Count >= MaxResets || !queue.TryPop(_chain))
            {
                return false;
            }

            Take(new ChainReader(_chain));
            queue.Complete(_chain, 0);
        }

        return true;
    }

    private void Take(ChainReader reader)
    {
        Volatile.Write(ref _txPackets, _txPackets + 1);
        if (!reader.TryRead(out VsockHeader header) || header.SourceCid != _cid)
        {
            // §5.10.6.4.2: who sent it cannot be answered.
            Drop(header.SourceCid, header.Operation);
            return;
        }

        if (header.Type != VsockSpec.Stream || header.DestinationCid != VsockSpec.HostCid)
        {
            Refuse(header);
        }
        else if (_table.TryGet(header.DestinationPort, header.SourcePort, out VsockConnection? connection))
        {
            connection.TakeCredit(header);
            Take(connection, header, ref reader);
            if (connection.IsReadable)
            {
                Enqueue(connection);
            }
        }
        else if (header.Operation == VsockSpec.Request)
        {
            Connect(header);
        }
        else
        {
            Refuse(header);
        }
    }

    private void Take(VsockConnection connection, in VsockHeader header, ref ChainReader reader)
    {
        switch (header.Operation)
        {
            case VsockSpec.Response when connection.Phase == VsockPhase.Requested && (connection.Signals & VsockSignals.Request) == 0:
                Accepted(connection);
                break;
            case VsockSpec.Reset:
                Release(connection);
                break;
            case VsockSpec.Shutdown when connection.Phase == VsockPhase.Open:
                ShutDown(connection, header.Flags);
                break;
            case VsockSpec.ReadWrite when connection.Phase == VsockPhase.Open:
                Relay(connection, header.Length, ref reader);
                break;
            case VsockSpec.CreditUpdate:
                break;
            case VsockSpec.CreditRequest when connection.Phase == VsockPhase.Open:
                connection.Signals |= VsockSignals.CreditUpdate;
                Enqueue(connection);
                break;
            default:
                Abort(connection);
                break;
        }
    }

    /// <summary>A guest program connects to a port of the host.</summary>
    private void Connect(in VsockHeader header)
    {
        UnixStream? stream = null;
        int error = Errno.EMFILE;
        if (!_table.IsFull)
        {
            stream = UnixStream.TryConnect($"{_path}_{header.DestinationPort}", out error);
        }

        if (stream is null || Add(stream, VsockPhase.Open) is not { } connection)
        {
            Volatile.Write(ref _refused, _refused + 1);
            if (_refuseLimit.TryTake(out long suppressed))
            {
                LogRefused(Logger, _id, header.DestinationPort, error, suppressed);
            }

            Refuse(header);
            return;
        }

        _table.Bind(connection, header.DestinationPort, header.SourcePort);
        connection.TakeCredit(header);
        connection.Signals = VsockSignals.Response;
        Volatile.Write(ref _opened, _opened + 1);
        Enqueue(connection);
    }

    /// <summary>The guest agrees to what a host program asked for.</summary>
    private void Accepted(VsockConnection connection)
    {
        connection.Phase = VsockPhase.Open;
        Volatile.Write(ref _opened, _opened + 1);
        if (!TryAnswer(connection))
        {
            Abort(connection);
            return;
        }

        connection.IsReadable = true;
    }

    /// <summary>The guest's reset: the last word of a connection that was shut down, or its sudden end.</summary>
    private void Release(VsockConnection connection)
    {
        if (connection.Phase == VsockPhase.Requested)
        {
            Volatile.Write(ref _refused, _refused + 1);
            Forget(connection);
        }
        else if ((connection.GuestShutdown & VsockSpec.ShutdownSend) != 0 && connection.Unsent.Count > 0)
        {
            // What the guest sent before it closed is the host program's, however long that takes to read it.
            _table.Unbind(connection);
            connection.Phase = VsockPhase.Draining;
        }
        else
        {
            if (connection.GuestShutdown == 0 && connection.HostShutdown == 0)
            {
                Volatile.Write(ref _reset, _reset + 1);
            }

            Forget(connection);
        }
    }

    private void ShutDown(VsockConnection connection, uint flags)
    {
        uint added = flags & VsockSpec.ShutdownBoth & ~connection.GuestShutdown;
        connection.GuestShutdown |= added;
        if ((added & VsockSpec.ShutdownReceive) != 0)
        {
            connection.Stream.CloseReading();
        }

        EndIfOver(connection);
    }

    /// <summary>Passes the end of what the guest sends on, and ends the connection when the guest wants nothing more of it.</summary>
    private void EndIfOver(VsockConnection connection)
    {
        if ((connection.GuestShutdown & VsockSpec.ShutdownSend) == 0 || connection.Unsent.Count > 0)
        {
            return;
        }

        if (connection.GuestShutdown == VsockSpec.ShutdownBoth)
        {
            // §5.10.6.5: the reset says that everything has arrived.
            OweReset(connection);
            Forget(connection);
        }
        else
        {
            connection.Stream.CloseWriting();
        }
    }

    /// <summary>Payload for the host program.</summary>
    private void Relay(VsockConnection connection, uint length, ref ChainReader reader)
    {
        if (length > reader.Remaining || (connection.GuestShutdown & VsockSpec.ShutdownSend) != 0 || !connection.TryReceive(length))
        {
            Abort(connection);
            return;
        }

        Volatile.Write(ref _txBytes, _txBytes + length);
        uint left = length;
        if (connection.IsWritingOver)
        {
            // Nobody reads it; the guest learns so with the shutdown that is on its way.
            connection.Forward(left);
            left = 0;
        }
        else if (connection.Unsent.Count == 0 && connection.IsWritable && length > 0)
        {
            left -= Write(connection, _vectors, _chain.SliceReadable(VsockSpec.HeaderBytes, length, _vectors), length);
            reader.Skip(length - left);
        }

        connection.Unsent.Append(ref reader, left);
        GiveCreditIfOwed(connection);
    }

    /// <summary>Writes to the socket what it takes; returns how much needs no further care.</summary>
    private uint Write(VsockConnection connection, IoVec* vectors, int count, uint length)
    {
        nint written = connection.Stream.Write(vectors, count);
        if (written == -Errno.EAGAIN)
        {
            connection.IsWritable = false;
            return 0;
        }

        if (written < 0)
        {
            // The host program reads no more. What it has sent may still be on its way to the guest.
            connection.Forward(length);
            StopWriting(connection);
            return length;
        }

        connection.Forward((uint)written);
        connection.IsWritable = written == length;
        return (uint)written;
    }

    private void StopWriting(VsockConnection connection)
    {
        connection.HostShutdown |= VsockSpec.ShutdownReceive;
        connection.Signals |= VsockSignals.Shutdown;
        Enqueue(connection);
    }

    private void GiveCreditIfOwed(VsockConnection connection)
    {
        if (connection.OwesCredit)
        {
            connection.Signals |= VsockSignals.CreditUpdate;
            Enqueue(connection);
        }
    }

    /// <summary>Owes the sender of a packet that belongs to no connection a reset, unless the packet is one.</summary>
    private void Refuse(in VsockHeader header)
    {
        if (header.Operation != VsockSpec.Reset)
        {
            _resets.Enqueue(new VsockHeader
            {
                SourceCid = header.DestinationCid,
                DestinationCid = header.SourceCid,
                SourcePort = header.DestinationPort,
                DestinationPort = header.SourcePort,
                Type = header.Type,
                Operation = VsockSpec.Reset,
            });
        }
    }

    private void Drop(ulong source, ushort operation)
    {
        if (_dropLimit.TryTake(out long suppressed))
        {
            LogDropped(Logger, _id, source, operation, suppressed);
        }
    }

    [LoggerMessage(
        Level = LogLevel.Debug,
        Message = "{Device}: a packet of context id {Source}, operation {Operation}, was dropped ({Suppressed} like it not shown)")]
    private static partial void LogDropped(ILogger logger, string device, ulong source, ushort operation, long suppressed);

    [LoggerMessage(
        Level = LogLevel.Debug,
        Message = "{Device}: the guest's connection to port {Port} was refused (errno {Errno}; {Suppressed} like it not shown)")]
    private static partial void LogRefused(ILogger logger, string device, uint port, int errno, long suppressed);
}
