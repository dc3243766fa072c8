using System.Runtime.InteropServices;
using Cnvm.Devices.Bus;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Vsock;

/// <summary>
/// Serves the queues of a socket device and its host sockets. Sockets are watched for changes only, and what a change made possible is
/// remembered until it has been used up, so a connection that waits for the guest costs nothing.
/// </summary>
internal sealed unsafe partial class VsockWorker : QueueWorker
{
    /// <summary>Tokens of the worker's own descriptors have this bit; a queue's is its index.</summary>
    private const ulong OwnTokens = 1UL << 62;
    private const ulong ListenerToken = OwnTokens + VsockSpec.QueueCount;

    /// <summary>Packets each way before used rings are published and other events get a chance.</summary>
    private const int PacketsPerTurn = 64;

    /// <summary>Connections of host programs that wait to be accepted.</summary>
    private const int Backlog = 1024;

    /// <summary>While so many resets are owed no packet is taken from the guest: each could owe another one.</summary>
    private const int MaxResets = 256;

    private readonly string _id;
    private readonly uint _cid;
    private readonly string _path;
    private readonly UnixListener _listener;
    private readonly QueueResources?[] _queues = new QueueResources?[VsockSpec.QueueCount];
    private readonly DescriptorChain _chain = new(DescriptorChain.CapacityFor(VsockSpec.QueueSize));
    private readonly VsockTable _table = new();
    private readonly Queue<VsockHeader> _resets = new();
    private readonly LogRateLimit _dropLimit = new();
    private readonly LogRateLimit _refuseLimit = new();
    private readonly LogRateLimit _acceptLimit = new();
    private IoVec* _vectors;
    private VsockConnection? _firstReady;
    private VsockConnection? _lastReady;
    private bool _mayAccept;
    private ulong _rxBytes;
    private ulong _rxPackets;
    private ulong _txBytes;
    private ulong _txPackets;
    private ulong _opened;
    private ulong _refused;
    private ulong _reset;

    /// <exception cref="LinuxException">The socket cannot be made.</exception>
    public VsockWorker(VsockOptions options, ILogger logger)
        : base(options.Id, logger)
    {
        _id = options.Id;
        _cid = options.Cid;
        _path = options.SocketPath;
        // SAFETY: freed in ReleaseResources; a slice of a chain has at most as many vectors as the chain.
        _vectors = (IoVec*)NativeMemory.Alloc((nuint)_chain.Capacity, (nuint)sizeof(IoVec));
        try
        {
            _listener = UnixListener.Bind(_path, Backlog);
            Watch(_listener.Fd, Libc.EPOLLIN | Libc.EPOLLET, ListenerToken);
        }
        catch
        {
            _listener?.Dispose();
            _listener = null!;
            Dispose();
            throw;
        }
    }

    /// <summary>The driver must be told that all connections are gone. Set while the thread does not run.</summary>
    public bool MustAnnounceReset { get; set; }

    /// <summary>Any thread.</summary>
    public VsockCounters Counters => new(
        Volatile.Read(ref _rxBytes),
        Volatile.Read(ref _rxPackets),
        Volatile.Read(ref _txBytes),
        Volatile.Read(ref _txPackets),
        Volatile.Read(ref _opened),
        Volatile.Read(ref _refused),
        Volatile.Read(ref _reset));

    private SplitQueue? Receiving => _queues[VsockSpec.ReceiveQueue]?.Queue;

    private SplitQueue? Transmitting => _queues[VsockSpec.TransmitQueue]?.Queue;

    /// <summary>Gives the worker a queue, or takes it back. While the thread does not run.</summary>
    public void SetQueue(int index, QueueResources? resources)
    {
        if (_queues[index] is { } old)
        {
            Unwatch(old.Notify.Fd);
        }

        _queues[index] = resources;
        if (resources is not null)
        {
            Watch(resources.Notify.Fd, Libc.EPOLLIN, OwnTokens + (ulong)index);
        }
    }

    /// <summary>Drops every connection; host programs see their end. While the thread does not run.</summary>
    public void CloseAll()
    {
        foreach (VsockConnection connection in _table.All)
        {
            Forget(connection);
        }

        _resets.Clear();
        _firstReady = null;
        _lastReady = null;
        MustAnnounceReset = false;
    }

    protected override void OnStart()
    {
        // Changes that an earlier run was told of, and did not come to use, are told again.
        _mayAccept = true;
        foreach (VsockConnection connection in _table.All)
        {
            ChangeWatch(connection.Stream.Fd, SocketEvents, _table.TokenOf(connection.Slot));
        }

        Serve();
    }

    protected override void OnReady(ulong token, uint events)
    {
        if (token == ListenerToken)
        {
            _mayAccept = true;
        }
        else if ((token & OwnTokens) != 0)
        {
            _queues[(int)(token - OwnTokens)]?.Notify.Drain();
        }
        else if (_table.TryGet(token, out VsockConnection? connection))
        {
            OnSocket(connection, events);
        }
    }

    protected override void OnTurn() => Serve();

    protected override void OnStop()
    {
        // A packet is either in a completed buffer, or still in its queue or socket.
    }

    protected override void OnFailure()
    {
        foreach (QueueResources? queue in _queues)
        {
            queue?.Queue.Break("the host failed to serve the queue");
        }
    }

    protected override void ReleaseResources()
    {
        CloseAll();
        _listener?.Dispose();
        _chain.Dispose();
        NativeMemory.Free(_vectors);
        _vectors = null;
    }

    private void Serve()
    {
        if (_mayAccept)
        {
            Accept();
        }

        Transmitting?.DisableNotifications();
        Receiving?.DisableNotifications();
        bool more = Take();
        more |= Deliver(out bool isStarved);
        AnnounceReset();
        Publish(VsockSpec.TransmitQueue);
        Publish(VsockSpec.ReceiveQueue);

        // Without receive buffers nothing goes on until some come. With them, the guest's packets are what is waited for.
        more |= isStarved && Receiving is { } receiving && receiving.EnableNotifications();
        more |= _resets.Count < MaxResets && Transmitting is { } transmitting && transmitting.EnableNotifications();
        more |= _mayAccept && !_table.IsFull;
        if (more)
        {
            // Again after other events, the stop event among them, had their chance.
            _queues[VsockSpec.TransmitQueue]?.Notify.Signal();
        }
    }

    private void Publish(int index)
    {
        if (_queues[index] is { } queue && queue.Queue.Publish())
        {
            queue.Interrupts.SignalQueue(index);
        }
    }

    private void AnnounceReset()
    {
        if (!MustAnnounceReset || _queues[VsockSpec.EventQueue]?.Queue is not { } queue)
        {
            return;
        }

        queue.DisableNotifications();
        while (!queue.TryPop(_chain))
        {
            if (!queue.EnableNotifications())
            {
                return;
            }
        }

        if (_chain.WritableBytes < VsockSpec.EventBytes)
        {
            queue.Break("an event buffer without room for an event");
            return;
        }

        uint announcement = VsockSpec.TransportReset;
        ChainWriter writer = new(_chain);
        writer.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in announcement)));
        queue.Complete(_chain, VsockSpec.EventBytes);
        MustAnnounceReset = false;
        Publish(VsockSpec.EventQueue);
    }

    /// <summary>The connection has something for the guest, or may have.</summary>
    private void Enqueue(VsockConnection connection)
    {
        if (connection.IsQueued || connection.Phase is VsockPhase.Greeting or VsockPhase.Draining or VsockPhase.Closed)
        {
            return;
        }

        connection.IsQueued = true;
        connection.Next = null;
        if (_lastReady is { } last)
        {
            last.Next = connection;
        }
        else
        {
            _firstReady = connection;
        }

        _lastReady = connection;
    }

    private void Dequeue(VsockConnection connection)
    {
        _firstReady = connection.Next;
        if (_firstReady is null)
        {
            _lastReady = null;
        }

        connection.Next = null;
        connection.IsQueued = false;
    }

    private void Forget(VsockConnection connection)
    {
        _table.Remove(connection);
        Unwatch(connection.Stream.Fd);
        connection.Dispose();

        // With a descriptor and a place free again, a program that could not be accepted may be now.
        _mayAccept = true;
    }

    /// <summary>Ends a connection without the guest's consent.</summary>
    private void Abort(VsockConnection connection)
    {
        // A guest that has not been asked yet knows nothing to be reset.
        if (connection.Phase is VsockPhase.Requested or VsockPhase.Open && (connection.Signals & VsockSignals.Request) == 0)
        {
            OweReset(connection);
        }

        Volatile.Write(ref _reset, _reset + 1);
        Forget(connection);
    }

    private void OweReset(VsockConnection connection)
    {
        VsockHeader header = HeaderFor(connection, VsockSpec.Reset);
        connection.GiveCredit(ref header);
        _resets.Enqueue(header);
    }

    private VsockHeader HeaderFor(VsockConnection connection, ushort operation) => new()
    {
        SourceCid = VsockSpec.HostCid,
        DestinationCid = _cid,
        SourcePort = connection.HostPort,
        DestinationPort = connection.GuestPort,
        Type = VsockSpec.Stream,
        Operation = operation,
    };
}
