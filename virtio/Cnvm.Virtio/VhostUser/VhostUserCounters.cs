namespace Cnvm.Virtio.VhostUser;

/// <summary>What is known here of a back end, which counts for itself.</summary>
/// <param name="IsConnected">It is there.</param>
/// <param name="Reconnects">How often it came back, or another one in its place.</param>
/// <param name="Calls">Interrupts that were passed on from it.</param>
public readonly record struct VhostUserCounters(bool IsConnected, ulong Reconnects, ulong Calls);
