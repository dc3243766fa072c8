using System.Net;

namespace Cnvm.Linux;

/// <summary>An address of a network interface.</summary>
/// <param name="Link">The interface's number.</param>
/// <param name="Address">The interface's own.</param>
/// <param name="Peer">The other end's where there are two only; else the same as the interface's own.</param>
/// <param name="Prefix">Length of the network's part of <paramref name="Peer"/> in bits.</param>
public sealed record NetworkAddress(int Link, IPAddress Address, IPAddress Peer, byte Prefix);
