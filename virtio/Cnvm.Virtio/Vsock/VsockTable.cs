using System.Diagnostics.CodeAnalysis;

namespace Cnvm.Virtio.Vsock;

/// <summary>The connections: by slot for the host's events, by ports for the guest's packets. One thread.</summary>
internal sealed class VsockTable
{
    /// <summary>Most connections at a time.</summary>
    public const int Capacity = 1024;

    /// <summary>Ports that the host's ends of connections get which host programs began; below are those that guests connect to.</summary>
    private const uint FirstHostPort = 1u << 30;

    // Grows with use: a guest that has few connections does not pay for all places.
    private readonly List<VsockConnection?> _slots = [];
    private readonly List<uint> _generations = [];
    private readonly Stack<int> _free = [];
    private readonly Dictionary<ulong, VsockConnection> _byPorts = [];
    private uint _nextHostPort = FirstHostPort;

    public bool IsFull => _free.Count == 0 && _slots.Count == Capacity;

    public int Count => _slots.Count - _free.Count;

    /// <summary>Every connection. Removing while this is enumerated is allowed.</summary>
    public IEnumerable<VsockConnection> All
    {
        get
        {
            for (int i = 0; i < _slots.Count; i++)
            {
                if (_slots[i] is { } connection)
                {
                    yield return connection;
                }
            }
        }
    }

    /// <summary>Reserves a slot; the caller fills it with <see cref="Put"/>. Not when full.</summary>
    public int Reserve()
    {
        if (_free.TryPop(out int slot))
        {
            return slot;
        }

        _slots.Add(null);
        _generations.Add(0);
        return _slots.Count - 1;
    }

    public void Put(VsockConnection connection) => _slots[connection.Slot] = connection;

    /// <summary>Names the connection in a slot, also after the slot has got another one.</summary>
    public ulong TokenOf(int slot) => ((ulong)_generations[slot] << 32) | (uint)slot;

    /// <summary>The connection that a token names, if it is still there.</summary>
    public bool TryGet(ulong token, [NotNullWhen(true)] out VsockConnection? connection)
    {
        int slot = (int)(uint)token;
        connection = slot < _slots.Count && _generations[slot] == (uint)(token >> 32) ? _slots[slot] : null;
        return connection is not null;
    }

    /// <summary>The connection between two ports.</summary>
    public bool TryGet(uint hostPort, uint guestPort, [NotNullWhen(true)] out VsockConnection? connection) =>
        _byPorts.TryGetValue(Key(hostPort, guestPort), out connection);

    /// <summary>From now on the guest's packets find the connection.</summary>
    public void Bind(VsockConnection connection, uint hostPort, uint guestPort)
    {
        connection.HostPort = hostPort;
        connection.GuestPort = guestPort;
        _byPorts.Add(Key(hostPort, guestPort), connection);
    }

    /// <summary>The guest's packets find the connection no more.</summary>
    public void Unbind(VsockConnection connection)
    {
        if (connection.Phase is VsockPhase.Requested or VsockPhase.Open)
        {
            _byPorts.Remove(Key(connection.HostPort, connection.GuestPort));
        }
    }

    /// <summary>Forgets a connection; its slot is free again.</summary>
    public void Remove(VsockConnection connection)
    {
        Unbind(connection);
        connection.Phase = VsockPhase.Closed;
        _slots[connection.Slot] = null;

        // 31 bits, so that no token is one of the worker's own.
        _generations[connection.Slot] = (_generations[connection.Slot] + 1) & int.MaxValue;
        _free.Push(connection.Slot);
    }

    /// <summary>A host port that no connection to this guest port has.</summary>
    public uint NextHostPort(uint guestPort)
    {
        do
        {
            _nextHostPort = _nextHostPort >= int.MaxValue ? FirstHostPort : _nextHostPort + 1;
        }
        while (_byPorts.ContainsKey(Key(_nextHostPort, guestPort)));

        return _nextHostPort;
    }

    private static ulong Key(uint hostPort, uint guestPort) => ((ulong)hostPort << 32) | guestPort;
}
