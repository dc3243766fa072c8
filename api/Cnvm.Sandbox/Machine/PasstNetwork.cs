using System.Globalization;
using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Agent;

namespace Cnvm.Sandbox.Machine;

/// <summary>A guest's network through the passt that its VMM starts. The guest has no DHCP client: the agent gives it what passt expects of it.</summary>
internal static class PasstNetwork
{
    private const string GuestMac = "52:54:00:12:34:56";
    private const string Address = "10.0.2.15";
    private const string Mask = "24";
    private const string Gateway = "10.0.2.2";

    /// <summary>The value of the VMM's flag --net.</summary>
    public static string Value(SandboxNetwork.Passt network)
    {
        string value = $"passt=on,mac={GuestMac},guest_ip={Address}/{Mask},gateway={Gateway}";
        foreach ((string key, bool udp) in (ReadOnlySpan<(string, bool)>)[("tcp_ports", false), ("udp_ports", true)])
        {
            string at = network.ListenAddress is { } address ? address + "/" : "";
            var rules = new List<string>();
            foreach (PortMapping port in network.Ports)
            {
                if (port.Udp == udp)
                {
                    rules.Add(string.Create(CultureInfo.InvariantCulture, $"{at}{port.Host}:{port.Guest}"));
                }
            }

            value += rules.Count > 0 ? $",{key}=[{string.Join(',', rules)}]" : "";
        }

        return value;
    }

    /// <summary>Gives the guest its address.</summary>
    public static async Task ConfigureGuestAsync(AgentConnection agent, CancellationToken cancellation)
    {
        await agent.CallAsync<UpdateInterfaceRequest, Interface>(
            AgentService.UpdateInterface,
            new UpdateInterfaceRequest
            {
                Interface = new Interface
                {
                    Device = "eth0", Name = "eth0", HwAddr = GuestMac, Mtu = 1500,
                    IpAddresses = [new IPAddress { Family = IPFamily.V4, Address = Address, Mask = Mask }],
                },
            },
            cancellation).ConfigureAwait(false);
        await agent.CallAsync<UpdateRoutesRequest, Routes>(
            AgentService.UpdateRoutes,
            new UpdateRoutesRequest { Routes = new Routes { Items = [new Route { Gateway = Gateway, Device = "eth0" }] } },
            cancellation).ConfigureAwait(false);
    }
}
