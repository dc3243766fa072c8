using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>What a driver does with a transport, so that one test serves both.</summary>
internal interface IGuestTransport
{
    byte Status { get; set; }

    ulong DeviceFeatures { get; }

    void AcceptFeatures(ulong features);

    ushort MaxQueueSize(int queue);

    void SetUpQueue(int queue, QueueState layout);

    void Notify(int queue);

    byte[] ReadConfiguration(int offset, int length);

    void WriteConfiguration(int offset, byte[] data);

    void AwaitInterrupt(int queue);
}
