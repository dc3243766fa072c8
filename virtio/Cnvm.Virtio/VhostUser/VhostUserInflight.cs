using Cnvm.Linux;

namespace Cnvm.Virtio.VhostUser;

/// <summary>Memory in which a back end notes requests in flight, for whoever takes its place ("Inflight I/O tracking").</summary>
/// <param name="File">Disposed with this object.</param>
internal sealed record VhostUserInflight(FileDescriptor File, ulong MapSize, ulong MapOffset, ushort Queues, ushort QueueSize) : IDisposable
{
    public void Dispose() => File.Dispose();
}
