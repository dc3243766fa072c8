using System.Globalization;
using System.Net;

namespace Cnvm.Vmm.Config;

// Interfaces whose other end is a program at a stream socket: there is no interface of the host.
public sealed partial class VmConfigValidator
{
    /// <summary>Forwarded ports of one protocol; passt has its own limits beyond.</summary>
    private const int MaxPortRules = 256;

    private void CheckStreamNet(string field, NetConfig net)
    {
        if (!net.IsStream)
        {
            return;
        }

        if (net.Socket is not null)
        {
            CheckSocketPath($"{field}.socket", net.Socket);
        }

        if (net.Passt is { } passt)
        {
            Alien(net.Socket is not null, $"{field}.socket", "the VMM connects it to the passt that it starts");
            CheckPorts($"{field}.passt.tcp_ports", passt.TcpPorts);
            CheckPorts($"{field}.passt.udp_ports", passt.UdpPorts);
            CheckGuestAddress($"{field}.passt", passt);
        }

        Alien(net.VhostUser, $"{field}.vhost_user", "a vhost-user back end has its socket in vhost_socket");
        Alien(net.VhostMode != VhostMode.Client, $"{field}.vhost_mode", "the VMM connects to it");
        Alien(net.Tap is not null, $"{field}.tap", "it has no TAP interface");
        Alien(net.Fds is not null, $"{field}.fds", "it has no TAP interface");
        Alien(net.Ip is not null, $"{field}.ip", "addresses are for the program there to say");
        Alien(net.Mask is not null, $"{field}.mask", "addresses are for the program there to say");
        Alien(net.HostMac is not null, $"{field}.host_mac", "addresses are for the program there to say");
        Alien(net.NumQueues != NetConfig.DefaultNumQueues, $"{field}.num_queues", "a stream of frames has one pair of queues (2)");
    }

    /// <summary>Reports a field that means nothing for an interface at a stream socket.</summary>
    private void Alien(bool given, string field, string reason)
    {
        if (given)
        {
            Add(field, $"the interface is at a stream socket (socket or passt), and {reason}: leave one of them out");
        }
    }

    private void CheckPorts(string field, IReadOnlyList<string>? rules)
    {
        if (rules is { Count: > MaxPortRules })
        {
            Add(field, $"{rules.Count} rules; at most {MaxPortRules}");
        }

        foreach (string rule in rules ?? [])
        {
            int slash = rule.IndexOf('/', StringComparison.Ordinal);
            string[] sides = rule[(slash + 1)..].Split(':');
            if ((slash >= 0 && !IPAddress.TryParse(rule[..slash], out _)) || sides.Length > 2 || !sides.All(IsPortRange))
            {
                Add(field, $"'{rule}' is not of the form [ADDRESS/]PORTS[:GUEST PORTS], such as 8080:80 or 127.0.0.1/8000-8009");
            }
        }
    }

    private void CheckGuestAddress(string field, PasstConfig passt)
    {
        if (passt.Address is { } address
            && (address.Split('/') is not [string number, string bits] || !IsIPv4(number)
                || !byte.TryParse(bits, NumberStyles.None, CultureInfo.InvariantCulture, out byte prefix) || prefix is 0 or > 32))
        {
            Add($"{field}.address", $"'{address}' is not an IPv4 address and its prefix length, such as 10.0.2.15/24");
        }

        if (passt.Gateway is { } gateway && !IsIPv4(gateway))
        {
            Add($"{field}.gateway", $"'{gateway}' is not an IPv4 address, such as 10.0.2.2");
        }
    }

    private static bool IsIPv4(string text) =>
        IPAddress.TryParse(text, out IPAddress? address) && address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork && address.ToString() == text;

    private static bool IsPortRange(string text)
    {
        string[] ends = text.Split('-');
        return ends.Length <= 2
            && Array.TrueForAll(ends, e => ushort.TryParse(e, NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) && port != 0)
            && int.Parse(ends[0], CultureInfo.InvariantCulture) <= int.Parse(ends[^1], CultureInfo.InvariantCulture);
    }
}
