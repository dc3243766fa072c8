using Cnvm.Vmm.Config;
using Cnvm.Vmm.Platform;

namespace Cnvm.Vmm.Migration;

/// <summary>The network interfaces of a guest that is on its way here.</summary>
internal static class ArrivingNetworks
{
    /// <summary>
    /// Interfaces that cannot be opened or made here, by the device's name. A TAP interface is opened and let go again: they are opened for good only
    /// when the source has stopped the guest.
    /// </summary>
    public static IEnumerable<string> Obstacles(VmConfig config)
        => from net in config.Net ?? []
           where !net.VhostUser && net.Fds is null
           let problem = DeviceFactory.NetObstacle(net)
           where problem is not null
           select $"net {net.Id}: {problem}";
}
