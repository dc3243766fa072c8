namespace Cnvm.Linux;

/// <summary>A network interface.</summary>
/// <param name="Index">Its number in its network namespace.</param>
/// <param name="Name">Its name.</param>
/// <param name="Kind">The driver of one that is not hardware, such as <c>veth</c>; empty for hardware.</param>
/// <param name="HardwareType">ARPHRD_ number; 1 is Ethernet.</param>
/// <param name="Flags">IFF_ bits.</param>
/// <param name="HardwareAddress">With colons.</param>
/// <param name="Mtu">Bytes.</param>
public sealed record NetworkLink(int Index, string Name, string Kind, ushort HardwareType, uint Flags, string HardwareAddress, uint Mtu)
{
    private const uint Up = 1;
    private const uint Loopback = 8;
    private const uint NoArp = 0x80;
    private const ushort Ethernet = 1;

    /// <summary>Somebody has brought it up.</summary>
    public bool IsUp => (Flags & Up) != 0;

    /// <summary>It is <c>lo</c>.</summary>
    public bool IsLoopback => (Flags & Loopback) != 0;

    /// <summary>It has Ethernet frames.</summary>
    public bool IsEthernet => HardwareType == Ethernet;

    /// <summary>Neighbours are not asked for their hardware addresses.</summary>
    public bool HasNoArp => (Flags & NoArp) != 0;
}
