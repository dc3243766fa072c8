namespace Cnvm.Vmm.Config;

// Interfaces whose other end is a program at a stream socket: there is no interface of the host.
public sealed partial class VmConfigValidator
{
    private void CheckStreamNet(string field, NetConfig net)
    {
        if (net.Socket is null)
        {
            return;
        }

        CheckSocketPath($"{field}.socket", net.Socket);
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
            Add(field, $"the interface is at a stream socket (socket), and {reason}: leave one of them out");
        }
    }
}
