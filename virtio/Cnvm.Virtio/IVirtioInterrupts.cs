using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio;

/// <summary>How a device reaches its driver; the transport implements it. Any thread; never takes the transport's lock.</summary>
public interface IVirtioInterrupts : IQueueFaults
{
    /// <summary>Used buffers of a queue are waiting.</summary>
    void SignalQueue(int queue);

    /// <summary>The configuration space changed.</summary>
    void SignalConfiguration();
}
