using System.Runtime.InteropServices;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Vsock;

/// <content>Packets for the guest.</content>
internal sealed unsafe partial class VsockWorker
{
    /// <summary>Gives the guest what is owed and what sockets have, connection after connection; true when there may be more.</summary>
    /// <param name="isStarved">There is more, and no receive buffer for it.</param>
    private bool Deliver(out bool isStarved)
    {
        isStarved = false;
        if (Receiving is not { } queue)
        {
            return false;
        }

        for (int i = 0; i < PacketsPerTurn; i++)
        {
            // Resets first: with them out of the way there are never more of them than connections and MaxResets.
            VsockConnection? connection = _resets.Count > 0 ? null : NextReady();
            if (connection is null && _resets.Count == 0)
            {
                return false;
            }

            if (!queue.TryPop(_chain))
            {
                isStarved = true;
                return false;
            }

            if (_chain.WritableBytes < VsockSpec.HeaderBytes)
            {
                queue.Break("a receive buffer without room for the header");
                return false;
            }

            if (connection is null)
            {
                Send(queue, _resets.Dequeue(), 0);
                continue;
            }

            Dequeue(connection);
            if (connection.Signals != VsockSignals.None)
            {
                SendSignal(queue, connection);
            }
            else
            {
                SendPayload(queue, connection);
            }

            if (connection.Signals != VsockSignals.None || connection.IsReadable)
            {
                Enqueue(connection);
            }
        }

        return true;
    }

    /// <summary>The first connection that can use a receive buffer; those before it are taken from the list.</summary>
    private VsockConnection? NextReady()
    {
        while (_firstReady is { } connection)
        {
            if (connection.Phase != VsockPhase.Closed)
            {
                if (connection.Signals != VsockSignals.None)
                {
                    return connection;
                }

                if (connection is { Phase: VsockPhase.Open, IsReadable: true, IsReadingOver: false })
                {
                    if (connection.PeerCredit > 0)
                    {
                        return connection;
                    }

                    if (!connection.HasAskedForCredit)
                    {
                        // The answer, like every packet, brings the connection back into the list.
                        connection.HasAskedForCredit = true;
                        connection.Signals |= VsockSignals.CreditRequest;
                        return connection;
                    }
                }
            }

            Dequeue(connection);
        }

        return null;
    }

    private void SendSignal(SplitQueue queue, VsockConnection connection)
    {
        VsockSignals signals = connection.Signals;
        VsockSignals first = signals & (VsockSignals)(-(int)signals);
        connection.Signals = signals & ~first;
        VsockHeader header = HeaderFor(connection, first switch
        {
            VsockSignals.Request => VsockSpec.Request,
            VsockSignals.Response => VsockSpec.Response,
            VsockSignals.CreditUpdate => VsockSpec.CreditUpdate,
            VsockSignals.CreditRequest => VsockSpec.CreditRequest,
            _ => VsockSpec.Shutdown,
        });
        header.Flags = first == VsockSignals.Shutdown ? connection.HostShutdown : 0;
        connection.GiveCredit(ref header);
        Send(queue, header, 0);
    }

    /// <summary>Reads from the socket into the buffer that was just taken, or puts the buffer back.</summary>
    private void SendPayload(SplitQueue queue, VsockConnection connection)
    {
        uint room = Math.Min(Math.Min(_chain.WritableBytes - VsockSpec.HeaderBytes, connection.PeerCredit), VsockSpec.MaxPacketBytes);
        if (room == 0)
        {
            queue.Break("a receive buffer without room for payload");
            return;
        }

        nint got = connection.Stream.Read(_vectors, _chain.SliceWritable(VsockSpec.HeaderBytes, room, _vectors));
        if (got <= 0)
        {
            queue.UndoPop();
            connection.IsReadable = false;
            if (got == 0)
            {
                connection.HostShutdown |= VsockSpec.ShutdownSend | (connection.IsHungUp ? VsockSpec.ShutdownReceive : 0);
                connection.Signals |= VsockSignals.Shutdown;
            }
            else if (got != -Errno.EAGAIN)
            {
                Abort(connection);
            }

            return;
        }

        // A socket that gave less than there was room for is empty, unless its end is all that is left.
        connection.IsReadable = (uint)got == room || connection.IsEnding;
        connection.Send((uint)got);
        Volatile.Write(ref _rxBytes, _rxBytes + (uint)got);
        VsockHeader header = HeaderFor(connection, VsockSpec.ReadWrite);
        header.Length = (uint)got;
        connection.GiveCredit(ref header);
        Send(queue, header, (uint)got);
    }

    /// <summary>Completes the buffer that was just taken, whose payload is in its place.</summary>
    private void Send(SplitQueue queue, VsockHeader header, uint payload)
    {
        ChainWriter writer = new(_chain);
        writer.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<VsockHeader>(in header)));
        queue.Complete(_chain, VsockSpec.HeaderBytes + payload);
        Volatile.Write(ref _rxPackets, _rxPackets + 1);
    }
}
