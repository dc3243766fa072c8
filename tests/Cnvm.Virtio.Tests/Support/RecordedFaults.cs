using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Tests.Support;

internal sealed class RecordedFaults : IQueueFaults
{
    public List<string> Reasons { get; } = [];

    public void QueueBroken(int queue, string reason) => Reasons.Add(reason);
}
