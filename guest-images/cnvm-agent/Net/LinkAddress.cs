using Cnvm.Linux;

namespace Cnvm.GuestAgent.Net;

/// <summary>An address of an interface.</summary>
/// <param name="address">The address.</param>
/// <param name="prefix">Length of the network's part in bits.</param>
internal sealed class LinkAddress(InternetAddress address, byte prefix)
{
    public InternetAddress Address => address;

    public byte Prefix => prefix;

    public bool IsSame(LinkAddress other) => prefix == other.Prefix && address.IsSame(other.Address);
}
