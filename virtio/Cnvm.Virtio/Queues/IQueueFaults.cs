namespace Cnvm.Virtio.Queues;

/// <summary>Hears of queues that the driver filled with nonsense. Called once per activation, on the thread that found out.</summary>
public interface IQueueFaults
{
    /// <param name="queue">Index of the queue in its device.</param>
    /// <param name="reason">A constant text.</param>
    void QueueBroken(int queue, string reason);
}
