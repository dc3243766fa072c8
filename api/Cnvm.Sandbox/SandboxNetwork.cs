namespace Cnvm.Sandbox;

/// <summary>How a sandbox's guest reaches the network.</summary>
public abstract record SandboxNetwork
{
    private SandboxNetwork()
    {
    }

    /// <summary>Not at all; it has its loopback interface.</summary>
    public static SandboxNetwork None { get; } = new Nothing();

    /// <summary>
    /// As the network namespace that <see cref="SandboxOptions.NetworkNamespace"/> names: for each of its interfaces that is up (but the loopback one), the guest
    /// has one with the same name, hardware address, MTU, IP addresses, routes and fixed neighbours, and all that comes in there is the guest's. They are veth or macvlan
    /// interfaces, sixteen at most, and one sandbox's alone. In a namespace without any, in this process's own and without one, the guest has its loopback interface only.
    /// Needs CAP_SYS_ADMIN and CAP_NET_ADMIN. What is made in the namespace goes with the sandbox, and the namespace stays.
    /// </summary>
    public static SandboxNetwork Namespace { get; } = new OfNamespace();

    /// <summary>
    /// Through the program <c>passt</c>, without root: the guest reaches what the host reaches, and is reached through the host's ports that
    /// are given. The VMM starts and ends it.
    /// </summary>
    /// <param name="Ports">Ports of the host that are the guest's.</param>
    public sealed record Passt(IReadOnlyList<PortMapping> Ports) : SandboxNetwork
    {
        /// <summary>Address of the host that the ports are open at; null for all.</summary>
        public string? ListenAddress { get; init; }
    }

    /// <summary>Through a TAP interface of the host, or of the network namespace that the VMM runs in.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="Mac">The guest's address; null for a random one.</param>
    public sealed record Tap(string Name, string? Mac = null) : SandboxNetwork;

    /// <summary>Through a TAP interface that is open already.</summary>
    /// <param name="Fds">Its descriptors, one for each pair of queues; they stay the caller's.</param>
    /// <param name="Mac">The guest's address; null for a random one.</param>
    public sealed record TapDescriptors(IReadOnlyList<int> Fds, string? Mac = null) : SandboxNetwork;

    private sealed record Nothing : SandboxNetwork;

    private sealed record OfNamespace : SandboxNetwork;
}
