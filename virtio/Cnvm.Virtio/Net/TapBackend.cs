using System.Net.NetworkInformation;
using Cnvm.Linux;

namespace Cnvm.Virtio.Net;

/// <summary>Frames through a TAP, macvtap or ipvtap interface of the host.</summary>
public sealed unsafe class TapBackend : INetBackend
{
    private const string AutomaticName = "vmtap%d";

    private readonly TapQueue[] _queues;

    private TapBackend(TapQueue[] queues, TapOffloads offloads, PhysicalAddress hostMac, bool isGuestsOwn)
    {
        _queues = queues;
        SupportedOffloads = offloads;
        HostMac = hostMac;
        IsGuestsOwn = isGuestsOwn;
    }

    /// <summary>The interface's name.</summary>
    public string Name => _queues[0].Name;

    /// <summary>MAC address of the host's end.</summary>
    public PhysicalAddress HostMac { get; }

    /// <summary>
    /// The interface is the guest's and no end of the host's: frames for <see cref="HostMac"/> come to it, and others only where the interface
    /// below gives it all there are.
    /// </summary>
    public bool IsGuestsOwn { get; }

    public int QueueCount => _queues.Length;

    public TapOffloads SupportedOffloads { get; }

    public bool MayDisconnect => false;

    public bool IsConnected => true;

    public ulong Reconnects => 0;

    public Action? ConnectionChanged { get; set; }

    public IReadOnlyList<int> HostDescriptors => Array.ConvertAll(_queues, q => q.Fd);

    public uint RoomEvents => Libc.EPOLLOUT;

    /// <summary>Makes or attaches to an interface, sets it up and brings it up.</summary>
    /// <exception cref="NetBackendException">The host refused; an interface made here is gone again.</exception>
    public static TapBackend Open(TapOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        List<TapQueue> queues = [];
        string? node = null;
        try
        {
            bool existed = OpenQueues(options, queues, ref node);
            return SetUp(options, queues, existed, node is not null);
        }
        catch (Exception e) when (e is LinuxException or ArgumentException)
        {
            queues.ForEach(q => q.Dispose());
            throw new NetBackendException(Message(options, node, e), e);
        }
    }

    /// <summary>
    /// Why an interface cannot be had: its queues are opened and let go again, and one that was made for that is gone. Null if it can be, or if only
    /// another process holds it, which may have ended when it is needed.
    /// </summary>
    public static string? Obstacle(TapOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        List<TapQueue> queues = [];
        string? node = null;
        try
        {
            _ = OpenQueues(options, queues, ref node);
            return null;
        }
        catch (LinuxException e) when (e.Errno == Errno.EBUSY)
        {
            return null;
        }
        catch (Exception e) when (e is LinuxException or ArgumentException)
        {
            return Message(options, node, e);
        }
        finally
        {
            queues.ForEach(q => q.Dispose());
        }
    }

    /// <summary>The address that a guest must have behind an interface that is its own; null where it may have any, or nobody knows.</summary>
    public static PhysicalAddress? AddressOf(string name)
    {
        try
        {
            using NetInterface host = new(name);
            return HasNode(host) ? host.HardwareAddress : null;
        }
        catch (Exception e) when (e is LinuxException or ArgumentException)
        {
            // Opening it will say why.
            return null;
        }
    }

    public int GetReadFd(int queue) => _queues[queue].Fd;

    public int GetRoomFd(int queue) => _queues[queue].Fd;

    public nint Read(int queue, IoVec* vectors, int count) => _queues[queue].Read(vectors, count);

    public nint Write(int queue, IoVec* vectors, int count) => _queues[queue].Write(vectors, count);

    public bool TrySetOffloads(TapOffloads offloads) => _queues[0].TrySetOffloads(offloads);

    public void SetActive(int queue, bool active)
    {
        if (_queues[queue].IsMultiQueue)
        {
            // A refusal means that it is so already, or that the descriptor's giver keeps the say: frames then go unread.
            _ = _queues[queue].TrySetAttached(active);
        }
    }

    public void Dispose()
    {
        foreach (TapQueue queue in _queues)
        {
            queue.Dispose();
        }
    }

    /// <param name="node">The character device of an interface that has one, also when it cannot be opened.</param>
    private static bool OpenQueues(TapOptions options, List<TapQueue> queues, ref string? node)
    {
        if (options.Descriptors is { } descriptors)
        {
            if (descriptors.Count != options.Queues)
            {
                throw new ArgumentException($"{descriptors.Count} descriptors for {options.Queues} queue pairs", nameof(options));
            }

            foreach (int descriptor in descriptors)
            {
                queues.Add(TapQueue.FromDescriptor(descriptor));
            }

            return true;
        }

        bool existed = false;
        if (options.Name is { } name)
        {
            using NetInterface probe = new(name);
            existed = probe.Exists;
            if (existed && HasNode(probe))
            {
                node = TapQueue.NodeOf(probe);
                for (int i = 0; i < options.Queues; i++)
                {
                    queues.Add(TapQueue.OpenNode(probe, options.Queues > 1));
                }

                return true;
            }
        }

        // All further queues join the interface that the first one named.
        for (int i = 0; i < options.Queues; i++)
        {
            queues.Add(TapQueue.Open(i == 0 ? options.Name ?? AutomaticName : queues[0].Name, options.Queues > 1));
        }

        return existed;
    }

    /// <summary>macvtap has the driver of macvlan, ipvtap that of ipvlan.</summary>
    private static bool HasNode(NetInterface host) => host.Driver is "macvlan" or "ipvlan";

    private static TapBackend SetUp(TapOptions options, List<TapQueue> queues, bool existed, bool isGuestsOwn)
    {
        using NetInterface host = new(queues[0].Name);
        if (!existed && options.Address is { } address)
        {
            host.SetAddress(address, options.Mask);
        }

        if (options.HostMac is { } mac)
        {
            host.HardwareAddress = mac;
        }

        if (options.Mtu is { } mtu)
        {
            host.Mtu = mtu;
        }

        if (options.Descriptors is null && !host.IsUp)
        {
            host.BringUp();
        }

        foreach (TapQueue queue in queues)
        {
            queue.SetHeaderSize(NetSpec.HeaderBytes);
        }

        const TapOffloads Basic = TapOffloads.Checksum | TapOffloads.Tso4 | TapOffloads.Tso6 | TapOffloads.TsoEcn;
        TapOffloads supported =
            queues[0].TrySetOffloads(Basic | TapOffloads.Ufo) ? Basic | TapOffloads.Ufo
            : queues[0].TrySetOffloads(Basic) ? Basic
            : TapOffloads.None;

        // None is in force until a driver says what it takes.
        queues[0].TrySetOffloads(TapOffloads.None);
        return new TapBackend([.. queues], supported, host.HardwareAddress, isGuestsOwn);
    }

    private static string Message(TapOptions options, string? node, Exception e)
    {
        string what = options.Descriptors is null ? options.Name ?? "a new TAP interface" : "the TAP descriptors given";
        return $"network back end {what} cannot be used{(node is null ? Hint(e) : Hint(e, options.Name!, node))}: {e.Message}";
    }

    private static string Hint(Exception e, string name, string node) => (e as LinuxException)?.Errno switch
    {
        Errno.ENOENT or Errno.ENXIO or Errno.ENODEV =>
            $" (the queues of a macvtap interface are at {node}, which is not here; a container needs the node of the host, with the numbers in /sys/class/net/{name}/*/tap*/dev, and a macvlan interface has none)",
        Errno.EPERM or Errno.EACCES => $" (this user needs to read and write {node}, and CAP_NET_ADMIN for host_mac=, mtu= and an interface that is down)",
        Errno.EBUSY => " (it has as many queues as it can)",
        _ => "",
    };

    private static string Hint(Exception e) => (e as LinuxException)?.Errno switch
    {
        Errno.ENOENT or Errno.ENODEV => " (is the tun module loaded?)",
        Errno.EPERM or Errno.EACCES => " (CAP_NET_ADMIN is needed)",
        Errno.EBUSY => " (another process holds it)",
        Errno.EINVAL => " (it exists in another mode: as TUN, or with another number of queues)",
        _ => "",
    };
}
