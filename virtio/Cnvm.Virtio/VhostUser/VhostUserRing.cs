using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.VhostUser;

/// <summary>A queue that the driver has given to the device, whether or not the back end is there to serve it.</summary>
/// <param name="Layout">Where it lies, and where the back end begins.</param>
/// <param name="Kick">The driver's doorbell.</param>
internal sealed record VhostUserRing(GuestMemory Memory, QueueState Layout, EventFd Kick)
{
    private const uint IndexOffset = 2;

    /// <summary>Buffers that the driver has made available, by its free-running index.</summary>
    public ushort AvailIndex => Index(Layout.AvailRing);

    /// <summary>Buffers that the back end has given back, by its free-running index.</summary>
    public ushort UsedIndex => Index(Layout.UsedRing);

    // The rings were found in guest memory when the queue was opened (virtio 1.2 §2.7.6, §2.7.8: idx follows the flags).
    private ushort Index(ulong ring) => Volatile.Read(ref MemoryMarshal.AsRef<ushort>(Memory.GetSpan(ring + IndexOffset, sizeof(ushort))));
}
