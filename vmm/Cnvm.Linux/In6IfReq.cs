using System.Net;
using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>struct in6_ifreq (linux/ipv6.h): an IPv6 address for an interface.</summary>
[Abi("linux/ipv6.h", "struct in6_ifreq")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct In6IfReq
{
    private const int AddressSize = 16;

    [AbiField("ifr6_addr")]
    private fixed byte _address[AddressSize];
    [AbiField("ifr6_prefixlen")]
    private readonly uint _prefixLength;
    [AbiField("ifr6_ifindex")]
    private readonly int _index;

    public In6IfReq(IPAddress address, int prefixLength, int index)
    {
        byte[] bytes = address.GetAddressBytes();
        for (int i = 0; i < AddressSize; i++)
        {
            // SAFETY: the index is below the array's size.
            _address[i] = bytes[i];
        }

        _prefixLength = (uint)prefixLength;
        _index = index;
    }
}
