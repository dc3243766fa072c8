namespace Cnvm.Nested;

/// <summary>One end of a <see cref="NestedHostLink"/>.</summary>
/// <param name="LocalSocket">Unix datagram socket that this end receives on.</param>
/// <param name="RemoteSocket">The other end's socket.</param>
/// <param name="Address">IPv4 address of eth1, in a /24 network.</param>
/// <param name="Mac">MAC address of eth1.</param>
public sealed record NestedHostLinkEnd(string LocalSocket, string RemoteSocket, string Address, string Mac);
