namespace Cnvm.Vmm.Config;

/// <summary>A passt(1) that the VMM starts for an interface: the network of the VMM's user, without root and without an interface of the host.</summary>
/// <param name="TcpPorts">Ports of the host that lead to the guest's: <c>[ADDRESS/]PORTS[:GUEST PORTS]</c>, PORTS being one or a range such as 8000-8009.</param>
/// <param name="UdpPorts">The same for UDP.</param>
/// <param name="Address">IPv4 address and prefix length that the guest is told, such as 10.0.2.15/24; the host's own if null.</param>
/// <param name="Gateway">IPv4 gateway that the guest is told; the host's own if null.</param>
public sealed record PasstConfig(
    IReadOnlyList<string>? TcpPorts = null, IReadOnlyList<string>? UdpPorts = null, string? Address = null, string? Gateway = null);
