using Cnvm.Devices;
using Cnvm.Virtio.Rng;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Tests.Transport;
using Cnvm.Virtio.Watchdog;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Watchdog;

public sealed class WatchdogDeviceTests : IDisposable
{
    private const ulong Buffer = 0x1_0000;
    private readonly TestMemory _memory = new();
    private readonly ManualResetEventSlim _expired = new();

    public void Dispose()
    {
        _memory.Dispose();
        _expired.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_guest_that_falls_silent_is_noticed_and_one_that_never_spoke_is_not(bool pci)
    {
        using IDisposable owner = Make(pci, 150, out IGuestTransport transport, out _);
        DriverQueue queue = Start(transport);
        Assert.False(_expired.Wait(400));
        Report(transport, queue);
        Assert.Equal(1, _memory.Read<byte>(Buffer));
        Assert.True(_expired.Wait(10_000));

        // Once: what comes then is somebody else's business.
        _expired.Reset();
        Assert.False(_expired.Wait(400));
        Report(transport, queue);
        Assert.True(_expired.Wait(10_000));
    }

    [Fact]
    public void Reports_put_it_off()
    {
        using IDisposable owner = Make(true, 5000, out IGuestTransport transport, out _);
        DriverQueue queue = Start(transport);
        for (int i = 0; i < 10; i++)
        {
            Report(transport, queue);
            Assert.False(_expired.Wait(50));
        }
    }

    [Fact]
    public void Time_stands_still_in_a_pause_and_begins_anew_after_a_restore()
    {
        IDisposable owner = Make(true, 300, out IGuestTransport transport, out WatchdogDevice device);
        DriverQueue queue = Start(transport);
        Assert.Equal(new WatchdogState { IsArmed = false }, device.Save());
        Report(transport, queue);
        TransportTests.Pause(transport);
        Assert.False(_expired.Wait(600));
        object state = TransportTests.Save(transport);
        Assert.Equal(new WatchdogState { IsArmed = true }, device.Save());
        owner.Dispose();

        using IDisposable second = Make(true, 300, out transport, out device);
        TransportTests.Restore(transport, state);
        Assert.Equal(StateText.Of(state), StateText.Of(TransportTests.Save(transport)));
        Assert.False(_expired.Wait(600));
        TransportTests.Resume(transport);
        Assert.True(_expired.Wait(10_000));
        Assert.Throws<DeviceStateException>(() => device.Restore(new RngState()));
    }

    [Fact]
    public void A_driver_that_lets_go_need_not_report()
    {
        using IDisposable owner = Make(true, 150, out IGuestTransport transport, out _);
        Report(transport, Start(transport));
        transport.Status = 0;
        Start(transport);
        Assert.False(_expired.Wait(400));
    }

    private static DriverQueue Queue(TestMemory memory) => new(memory, 0x1000, 8, eventIndex: true);

    private DriverQueue Start(IGuestTransport transport)
    {
        DriverQueue queue = Queue(_memory);
        transport.Start(~0UL, queue);
        return queue;
    }

    private void Report(IGuestTransport transport, DriverQueue queue)
    {
        _memory.Write(Buffer, (byte)0);
        queue.Add(Piece.Out(Buffer, 1));
        Assert.Equal(1u, transport.Run(0, queue));
    }

    private IDisposable Make(bool pci, int milliseconds, out IGuestTransport transport, out WatchdogDevice device)
    {
        device = new WatchdogDevice("__watchdog", _expired.Set, NullLogger.Instance, TimeSpan.FromMilliseconds(milliseconds));
        transport = pci ? new PciGuest(device, _memory) : new MmioGuest(device, _memory);
        return (IDisposable)transport;
    }
}
