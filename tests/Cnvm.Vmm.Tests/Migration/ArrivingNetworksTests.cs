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

    private static VmConfig With(params NetConfig[] nets) => new() { Net = nets };
}
