using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio;

/// <summary>What a device gets to run one queue with; valid until the queue is stopped.</summary>
/// <param name="Queue">The queue at its place, with a restored position if there was one. The device owns it while it runs.</param>
/// <param name="Memory">Guest RAM.</param>
/// <param name="Interrupts">Where used buffers are announced.</param>
/// <param name="Notify">Signalled by the driver's doorbell. Owned by the transport.</param>
public sealed record QueueResources(SplitQueue Queue, GuestMemory Memory, IVirtioInterrupts Interrupts, EventFd Notify);
