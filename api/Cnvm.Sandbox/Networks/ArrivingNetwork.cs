using System.Runtime.ExceptionServices;
using Cnvm.Linux;
using Cnvm.Sandbox.Machine;

namespace Cnvm.Sandbox.Networks;

/// <summary>
/// Joins a guest that comes from another host to the interfaces of a network namespace, as soon as its VMM has made its TAP interfaces there. It makes
/// them twice, since before the move it tries whether it can; so a thread hears from the kernel what comes and goes. One call at a time.
/// </summary>
internal sealed class ArrivingNetwork : IDisposable
{
    private const uint LinkEvents = 1;
    private const int AnnouncementBytes = 1 << 13;
    private const int StackBytes = 256 << 10;
    private readonly NamespaceNetwork _network;
    private readonly SandboxFolder _folder;
    private readonly EventFd _end = new();
    private readonly Thread _thread;
    private ExceptionDispatchInfo? _failure;
    private bool _isJoined;
    private bool _isKept;

    private ArrivingNetwork(NamespaceNetwork network, SandboxFolder folder)
    {
        _network = network;
        _folder = folder;
        _thread = new Thread(Run, StackBytes) { Name = "sandbox-arrival", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Looks whether the guest can be joined to the namespace, and begins to wait for its VMM's interfaces.</summary>
    /// <param name="path">Of the namespace.</param>
    /// <param name="folder">The sandbox's.</param>
    /// <param name="taps">The guest's TAP interfaces, in order.</param>
    /// <exception cref="SandboxException">It cannot.</exception>
    /// <exception cref="LinuxException">The namespace cannot be entered, or the kernel refuses.</exception>
    public static ArrivingNetwork Start(string path, SandboxFolder folder, IReadOnlyList<ArrivingTap> taps) =>
        new(NamespaceNetwork.ForArrival(path, taps, folder), folder);

    /// <summary>The guest is here: what was made stays.</summary>
    /// <exception cref="SandboxException">It was not joined.</exception>
    /// <exception cref="LinuxException">The kernel has refused.</exception>
    public void Keep()
    {
        _isKept = true;
        End();
        _failure?.Throw();
        if (!_isJoined)
        {
            throw new SandboxException(SandboxErrorKind.Host, $"the VMM's TAP interfaces are not in network namespace {_network.Path}");
        }
    }

    /// <summary>Takes everything away, unless it is kept.</summary>
    public void Dispose()
    {
        End();
        _end.Dispose();
        if (!_isKept)
        {
            NamespaceNetwork.Leave(_folder);
        }
    }

    private void End()
    {
        _end.Signal();
        _thread.Join();
    }

    private void Run()
    {
        try
        {
            _isJoined = NetworkNamespaces.Within(_network.Path, Follow);
        }
        catch (Exception e)
        {
            // For who keeps it. It would end the process otherwise, and leave what is joined.
            _failure = ExceptionDispatchInfo.Capture(e);
        }
    }

    /// <returns>True if the guest is joined in the end.</returns>
    private bool Follow()
    {
        using var events = new NetlinkSocket(NetlinkSocket.NETLINK_ROUTE, LinkEvents);
        using var tables = new NetworkTables(NamespaceSurvey.MostEntries);
        byte[] announcement = new byte[AnnouncementBytes];
        PollEntry[] wait = [new() { Fd = events.Fd, Events = PollEntry.In }, new() { Fd = _end.Fd, Events = PollEntry.In }];
        int[] joined = [];
        while (true)
        {
            // The end is asked for when the guest is here, and so are its interfaces: they are looked at once more.
            bool isEnd = wait[1].Returned != 0;
            joined = JoinTo(tables.Links(), joined);
            if (isEnd)
            {
                return joined.Length > 0;
            }

            Poll.Wait(wait, -1);
            if (wait[0].Returned != 0)
            {
                Pass(events, announcement);
            }
        }
    }

    /// <param name="joined">Numbers of the TAP interfaces that traffic goes to now; empty for none.</param>
    /// <returns>The same for what comes of it.</returns>
    private int[] JoinTo(List<NetworkLink> links, int[] joined)
    {
        int[] taps = new int[_network.Interfaces.Count];
        for (int i = 0; i < taps.Length; i++)
        {
            taps[i] = links.Find(l => l.Name == _network.Interfaces[i].Tap)?.Index ?? 0;
        }

        if (Array.IndexOf(taps, 0) >= 0)
        {
            taps = [];
        }

        if (taps.AsSpan().SequenceEqual(joined))
        {
            return joined;
        }

        NamespaceNetwork.Leave(_folder);
        try
        {
            // They may be others of the same names by now.
            return taps.Length > 0 ? _network.Join(_folder) : taps;
        }
        catch (LinuxException e) when (e.Errno == Errno.ENODEV)
        {
            // They were only tried, and have gone meanwhile: that is announced as well.
            NamespaceNetwork.Leave(_folder);
            return [];
        }
    }

    // What has changed is looked up, so that lost announcements do not matter.
    private static void Pass(NetlinkSocket events, byte[] announcement)
    {
        try
        {
            _ = events.Receive(announcement);
        }
        catch (LinuxException e) when (e.Errno == Errno.ENOBUFS)
        {
            return;
        }
    }
}
