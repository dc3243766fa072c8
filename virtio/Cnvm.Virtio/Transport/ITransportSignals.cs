namespace Cnvm.Virtio.Transport;

/// <summary>How a kind of transport tells the driver. Any thread; takes no lock of <see cref="TransportCore"/>.</summary>
internal interface ITransportSignals
{
    void SignalQueue(int queue);

    void SignalConfiguration();
}
