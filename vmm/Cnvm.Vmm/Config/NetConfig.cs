using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A virtio-net device: on a TAP interface, through passt or another program at a stream socket, or served by a vhost-user back end.</summary>
/// <param name="Tap">Name of a TAP interface: attached if it exists, created if not; chosen by the kernel if null. Or of a macvtap or ipvtap interface.</param>
/// <param name="Ip">Address that the host's end gets; IPv4 or IPv6.</param>
/// <param name="Mask">Netmask of <paramref name="Ip"/>.</param>
/// <param name="Mac">Address of the guest's end; null: a macvtap's own, else a random local one.</param>
/// <param name="HostMac">Address of the host's end.</param>
/// <param name="Mtu">Told to the guest and set on a TAP interface, 1280..65535; untouched if null.</param>
/// <param name="NumQueues">Receive and transmit queues together: even, at least 2.</param>
/// <param name="Fds">
/// Descriptors of open TAP queues in this process. In JSON only their number means something: descriptors come by SCM_RIGHTS.
/// </param>
/// <param name="Socket">In place of a TAP interface: a Unix socket where passt(1), or another program, takes and gives frames. cnvm's own.</param>
/// <param name="Passt">In place of a TAP interface: a passt(1) that the VMM starts. cnvm's own.</param>
public sealed record NetConfig(
    string? Tap = null,
    string? Ip = null,
    string? Mask = null,
    string? Mac = null,
    string? HostMac = null,
    ushort? Mtu = null,
    ushort NumQueues = NetConfig.DefaultNumQueues,
    ushort QueueSize = NetConfig.DefaultQueueSize,
    bool VhostUser = false,
    string? VhostSocket = null,
    VhostMode VhostMode = VhostMode.Client,
    IReadOnlyList<int>? Fds = null,
    RateLimiterConfig? RateLimiterConfig = null,
    bool OffloadTso = true,
    bool OffloadUfo = true,
    bool OffloadCsum = true,
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null,
    string? Socket = null,
    PasstConfig? Passt = null) : IPciDeviceConfig
{
    public const ushort DefaultNumQueues = 2;
    public const ushort DefaultQueueSize = 256;

    /// <summary>The other end is a program that takes and gives frames, and no interface of the host.</summary>
    internal bool IsStream => Socket is not null || Passt is not null;
}
