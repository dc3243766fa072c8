namespace Cnvm.Virtio.Vsock;

/// <summary>What a socket device has done since it was made; seen from the guest.</summary>
/// <param name="RxBytes">Payload that the guest received.</param>
/// <param name="RxPackets">Packets that the guest received, those without payload too.</param>
/// <param name="TxBytes">Payload that the guest sent.</param>
/// <param name="TxPackets">Packets that the guest sent.</param>
/// <param name="ConnectionsOpened">Connections that both sides agreed to.</param>
/// <param name="ConnectionsRefused">Attempts of either side that failed.</param>
/// <param name="ConnectionsReset">Connections that ended because one side broke off or broke the rules.</param>
public readonly record struct VsockCounters(
    ulong RxBytes,
    ulong RxPackets,
    ulong TxBytes,
    ulong TxPackets,
    ulong ConnectionsOpened,
    ulong ConnectionsRefused,
    ulong ConnectionsReset);
