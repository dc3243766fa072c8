using System.Net;

namespace Cnvm.GuestAgent.Net;

/// <summary>An address of an interface.</summary>
/// <param name="Prefix">Length of the network's part in bits.</param>
internal sealed record LinkAddress(IPAddress Address, byte Prefix);
