namespace Cnvm.GuestAgent.Net;

/// <summary>A network interface.</summary>
/// <param name="HardwareAddress">With colons.</param>
/// <param name="Mtu">Bytes; 0: not said.</param>
internal sealed record LinkState(int Index, string Name, string HardwareAddress, uint Mtu, IReadOnlyList<LinkAddress> Addresses);
