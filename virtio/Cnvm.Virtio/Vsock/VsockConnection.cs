using Cnvm.Linux;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Vsock;

/// <summary>
/// One connection between a guest port and a Unix socket of the host: the socket, what is owed to the guest, and both sides' credit
/// (virtio 1.2 §5.10.6.3). Owned by the worker; its thread alone.
/// </summary>
internal sealed class VsockConnection(UnixStream stream, int slot, VsockPhase phase) : IDisposable
{
    /// <summary>
    /// Buffer for each connection, in bytes. It fills only when a host program does not read; until then payload goes from guest memory
    /// straight into the socket.
    /// </summary>
    public const uint BufferBytes = 128 * 1024;

    private uint _announcedForwarded;
    private uint _received;
    private uint _forwarded;
    private uint _peerBufferSize;
    private uint _peerForwarded;
    private uint _sent;

    /// <summary>The socket.</summary>
    public UnixStream Stream { get; } = stream;

    /// <summary>Index in the worker's table.</summary>
    public int Slot { get; } = slot;

    public VsockPhase Phase { get; set; } = phase;

    /// <summary>The host's port; meaningless while greeting.</summary>
    public uint HostPort { get; set; }

    /// <summary>The guest's port; meaningless while greeting.</summary>
    public uint GuestPort { get; set; }

    public VsockSignals Signals { get; set; }

    /// <summary>Flags of the shutdown that has been announced to the guest, or is about to be.</summary>
    public uint HostShutdown { get; set; }

    /// <summary>Flags of the guest's shutdowns so far.</summary>
    public uint GuestShutdown { get; set; }

    /// <summary>The socket may have bytes, or its end, for the guest.</summary>
    public bool IsReadable { get; set; }

    /// <summary>The socket may take bytes.</summary>
    public bool IsWritable { get; set; } = true;

    /// <summary>The host program will send nothing more: what is there is read to its end.</summary>
    public bool IsEnding { get; set; }

    /// <summary>The host program closed its end completely.</summary>
    public bool IsHungUp { get; set; }

    /// <summary>Stands in the list of connections that have something for the guest.</summary>
    public bool IsQueued { get; set; }

    /// <summary>The next one in that list.</summary>
    public VsockConnection? Next { get; set; }

    /// <summary>The guest was asked to say how much it takes, and has not answered.</summary>
    public bool HasAskedForCredit { get; set; }

    /// <summary>What the socket has not taken yet.</summary>
    public ByteRing Unsent { get; } = new(BufferBytes);

    /// <summary>Bytes that the guest would take now.</summary>
    public uint PeerCredit
    {
        get
        {
            // Modulo 2^32. A guest whose figures contradict each other has no credit.
            uint inFlight = _sent - _peerForwarded;
            return inFlight < _peerBufferSize ? _peerBufferSize - inFlight : 0;
        }
    }

    /// <summary>Nothing more comes from the host program, or the guest wants nothing more.</summary>
    public bool IsReadingOver => (HostShutdown & VsockSpec.ShutdownSend) != 0 || (GuestShutdown & VsockSpec.ShutdownReceive) != 0;

    /// <summary>Nothing that the guest sends reaches anybody any more.</summary>
    public bool IsWritingOver => (HostShutdown & VsockSpec.ShutdownReceive) != 0;

    /// <summary>The guest's view of the room here has become so small that it should be told of the real one.</summary>
    public bool OwesCredit => _forwarded - _announcedForwarded >= BufferBytes / 2;

    /// <summary>Takes the credit that every packet of the guest carries.</summary>
    public void TakeCredit(in VsockHeader header)
    {
        if (_peerBufferSize != header.BufferSize || _peerForwarded != header.Forwarded)
        {
            _peerBufferSize = header.BufferSize;
            _peerForwarded = header.Forwarded;
            HasAskedForCredit = false;
        }
    }

    /// <summary>Counts payload from the guest. False: it sent more than it was allowed to.</summary>
    public bool TryReceive(uint bytes)
    {
        if (bytes > BufferBytes - (_received - _forwarded))
        {
            return false;
        }

        _received += bytes;
        return true;
    }

    /// <summary>Payload has left for the socket, so there is room for as much again.</summary>
    public void Forward(uint bytes) => _forwarded += bytes;

    /// <summary>Counts payload for the guest; never more than <see cref="PeerCredit"/>.</summary>
    public void Send(uint bytes) => _sent += bytes;

    /// <summary>Writes this side's credit into a packet, which the guest then knows.</summary>
    public void GiveCredit(ref VsockHeader header)
    {
        header.BufferSize = BufferBytes;
        header.Forwarded = _forwarded;
        _announcedForwarded = _forwarded;
        Signals &= ~VsockSignals.CreditUpdate;
    }

    public void Dispose()
    {
        Unsent.Dispose();
        Stream.Dispose();
    }
}
