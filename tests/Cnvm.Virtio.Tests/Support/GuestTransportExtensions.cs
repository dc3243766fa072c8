namespace Cnvm.Virtio.Tests.Support;

internal static class GuestTransportExtensions
{
    /// <summary>The start sequence of virtio 1.2 §3.1.1 for a driver that wants these features where they are offered.</summary>
    public static ulong Start(this IGuestTransport transport, ulong wanted, params DriverQueue[] queues)
    {
        transport.Status = 0;
        transport.Status = 1;
        transport.Status = 3;
        ulong features = transport.DeviceFeatures & (wanted | VirtioFeatures.Version1);
        transport.AcceptFeatures(features);
        transport.Status = 11;
        Assert.Equal(11, transport.Status);
        for (int i = 0; i < queues.Length; i++)
        {
            transport.SetUpQueue(i, queues[i].Layout);
        }

        transport.Status = 15;
        Assert.Equal(15, transport.Status);
        return features;
    }

    /// <summary>Publishes, notifies if asked to, and waits for one buffer.</summary>
    public static uint Run(this IGuestTransport transport, int index, DriverQueue queue)
    {
        if (queue.Publish())
        {
            transport.Notify(index);
        }

        return queue.Await().Length;
    }
}
