using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Numerics;
using System.Net;
using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Settings of a network interface through netdevice(7) ioctls, in the caller's network namespace.</summary>
[Abi("sys/socket.h sys/ioctl.h net/if.h linux/sockios.h")]
public sealed unsafe partial class NetInterface : IDisposable
{
    private const int AF_INET = 2;
    private const int AF_INET6 = 10;
    private const int SOCK_DGRAM = 2;
    private const int SOCK_CLOEXEC = 0x80000;
    private const nuint SIOCGIFFLAGS = 0x8913;
    private const nuint SIOCSIFFLAGS = 0x8914;
    private const nuint SIOCSIFADDR = 0x8916;
    private const nuint SIOCSIFNETMASK = 0x891c;
    private const nuint SIOCGIFMTU = 0x8921;
    private const nuint SIOCSIFMTU = 0x8922;
    private const nuint SIOCSIFHWADDR = 0x8924;
    private const nuint SIOCGIFHWADDR = 0x8927;
    private const nuint SIOCGIFINDEX = 0x8933;
    private const nuint SIOCETHTOOL = 0x8946;
    private const short IFF_UP = 1;
    private const int DefaultIpv6Prefix = 64;

    private static readonly IPAddress DefaultIpv4Mask = new([255, 255, 255, 0]);

    private readonly FileDescriptor _socket;

    /// <param name="name">Interface name; it need not exist yet.</param>
    public NetInterface(string name)
    {
        Name = name;
        _socket = new FileDescriptor(LinuxError.Check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    }

    public string Name { get; }

    public bool Exists
    {
        get
        {
            IfReq r = new(Name);
            // SAFETY: the kernel reads and fills one local.
            return ioctl(_socket.Value, SIOCGIFINDEX, &r) == 0;
        }
    }

    /// <summary>Number of the interface in its network namespace.</summary>
    public int Index
    {
        get
        {
            IfReq r = new(Name);
            Ioctl(SIOCGIFINDEX, ref r, "find");
            return r.Value;
        }
    }

    /// <summary>Name of its driver as ethtool(8) has it; null where the driver does not say.</summary>
    public string? Driver
    {
        get
        {
            EthtoolDriverInfo info = new();
            IfReq r = new(Name) { Data = (nint)(&info) };
            // SAFETY: the kernel reads the command and fills the struct, which is the one that goes with it.
            return ioctl(_socket.Value, SIOCETHTOOL, &r) == 0 ? info.Driver : null;
        }
    }

    public bool IsUp
    {
        get
        {
            IfReq r = new(Name);
            Ioctl(SIOCGIFFLAGS, ref r, "read the flags of");
            return (r.Flags & IFF_UP) != 0;
        }
    }

    /// <summary>MTU in bytes.</summary>
    public int Mtu
    {
        get
        {
            IfReq r = new(Name);
            Ioctl(SIOCGIFMTU, ref r, "read the MTU of");
            return r.Value;
        }

        set
        {
            IfReq r = new(Name) { Value = value };
            Ioctl(SIOCSIFMTU, ref r, "set the MTU of");
        }
    }

    public PhysicalAddress HardwareAddress
    {
        get
        {
            IfReq r = new(Name);
            Ioctl(SIOCGIFHWADDR, ref r, "read the MAC address of");
            return r.GetHardwareAddress();
        }

        set
        {
            IfReq r = new(Name);
            r.SetHardwareAddress(value);
            Ioctl(SIOCSIFHWADDR, ref r, "set the MAC address of");
        }
    }

    /// <summary>Sets the address, IPv4 or IPv6.</summary>
    /// <param name="mask">Of the same family; null: 24 bits for IPv4, 64 for IPv6.</param>
    /// <exception cref="ArgumentException">The mask is of the other family.</exception>
    public void SetAddress(IPAddress address, IPAddress? mask)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (mask is not null && mask.AddressFamily != address.AddressFamily)
        {
            throw new ArgumentException($"the mask {mask} does not go with the address {address}", nameof(mask));
        }

        if (address.AddressFamily == AddressFamily.InterNetworkV6)
        {
            SetIpv6Address(address, mask is null ? DefaultIpv6Prefix : mask.GetAddressBytes().Sum(b => BitOperations.PopCount(b)));
            return;
        }

        IfReq r = new(Name);
        r.SetAddress(address);
        Ioctl(SIOCSIFADDR, ref r, "set the address of");
        r = new IfReq(Name);
        r.SetAddress(mask ?? DefaultIpv4Mask);
        Ioctl(SIOCSIFNETMASK, ref r, "set the netmask of");
    }

    public void BringUp()
    {
        IfReq r = new(Name);
        Ioctl(SIOCGIFFLAGS, ref r, "read the flags of");
        r.Flags |= IFF_UP;
        Ioctl(SIOCSIFFLAGS, ref r, "bring up");
    }

    public void Dispose() => _socket.Dispose();

    private void SetIpv6Address(IPAddress address, int prefix)
    {
        IfReq r = new(Name);
        Ioctl(SIOCGIFINDEX, ref r, "find");
        using FileDescriptor socket6 = new(LinuxError.Check(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
        In6IfReq request = new(address, prefix, r.Value);
        // SAFETY: struct in6_ifreq is what this request takes on an IPv6 socket.
        LinuxError.Check(ioctl6(socket6.Value, SIOCSIFADDR, &request), $"set the address of network interface {Name}");
    }

    private void Ioctl(nuint request, ref IfReq r, string what)
    {
        fixed (IfReq* p = &r)
        {
            // SAFETY: struct ifreq is what these requests take.
            LinuxError.Check(ioctl(_socket.Value, request, p), $"{what} network interface {Name}");
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(int fd, nuint request, IfReq* argument);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int ioctl6(int fd, nuint request, In6IfReq* argument);
}
