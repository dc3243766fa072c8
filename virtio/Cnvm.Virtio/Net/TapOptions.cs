using System.Net;
using System.Net.NetworkInformation;

namespace Cnvm.Virtio.Net;

/// <summary>How the host's end of a network device is made.</summary>
public sealed record TapOptions
{
    /// <summary>Interface name: attached to if it exists, made if not. Null: the kernel chooses (vmtapN).</summary>
    public string? Name { get; init; }

    /// <summary>Queue pairs.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>Descriptors of TAP queues that are open already, one for each pair; the back end owns them from then on.</summary>
    public IReadOnlyList<int>? Descriptors { get; init; }

    /// <summary>Address of the host's end; set on interfaces that are made, never on ones that were there.</summary>
    public IPAddress? Address { get; init; }

    /// <summary>Mask of <see cref="Address"/>, of the same family; null: 24 bits for IPv4, 64 for IPv6.</summary>
    public IPAddress? Mask { get; init; }

    /// <summary>MAC address of the host's end; null leaves it.</summary>
    public PhysicalAddress? HostMac { get; init; }

    /// <summary>MTU of the host's end in bytes; null leaves it.</summary>
    public int? Mtu { get; init; }
}
