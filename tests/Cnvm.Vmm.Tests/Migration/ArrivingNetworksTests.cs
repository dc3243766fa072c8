using System.Net.Sockets;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>What a target says of the network interfaces of a guest that is still at the source.</summary>
public sealed class ArrivingNetworksTests
{
    /// <summary>With root and without: it exists, and is none.</summary>
    [Fact]
    public void What_is_no_tap_interface_is_named()
    {
        string obstacle = Assert.Single(ArrivingNetworks.Obstacles(With(new NetConfig("lo") { Id = "net0" })));
        Assert.StartsWith("net net0: network back end lo cannot be used", obstacle, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_not_opened_by_name_is_no_obstacle()
    {
        Assert.Empty(ArrivingNetworks.Obstacles(With(
            new NetConfig("lo") { Id = "net0", VhostUser = true }, new NetConfig("lo") { Id = "net1", Fds = [3] })));
        Assert.Empty(ArrivingNetworks.Obstacles(new VmConfig()));
    }

    /// <summary>Nobody is connected to: passt may end with its first connection.</summary>
    [Fact]
    public void A_socket_that_is_not_there_is_named()
    {
        string path = Path.Combine(Path.GetTempPath(), $"cnvm-{Guid.NewGuid():n}");
        string obstacle = Assert.Single(ArrivingNetworks.Obstacles(With(new NetConfig { Id = "net0", Socket = path })));
        Assert.StartsWith($"net net0: there is no socket {path}: start", obstacle, StringComparison.Ordinal);
        Assert.Contains("/dev/null is no socket", Assert.Single(ArrivingNetworks.Obstacles(With(new NetConfig { Id = "net0", Socket = "/dev/null" }))), StringComparison.Ordinal);
        try
        {
            using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Bind(new UnixDomainSocketEndPoint(path));
            Assert.Empty(ArrivingNetworks.Obstacles(With(new NetConfig { Id = "net0", Socket = path })));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static VmConfig With(params NetConfig[] nets) => new() { Net = nets };
}
