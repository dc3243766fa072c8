namespace Cnvm.Virtio.Net;

/// <summary>The connection of a network device whose other end may go.</summary>
/// <param name="Reconnects">How often it came back.</param>
public readonly record struct NetConnection(bool IsConnected, ulong Reconnects);
