using Cnvm.Devices;
using Cnvm.Virtio.Rng;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Transport;

/// <summary>What both transports do, with the entropy device behind them.</summary>
public sealed class TransportTests : IDisposable
{
    private readonly TestMemory _memory = new();

    public void Dispose() => _memory.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_driver_starts_the_device_and_gets_random_bytes(bool pci)
    {
        using IDisposable owner = Make(pci, out IGuestTransport transport);
        Assert.Equal(256, transport.MaxQueueSize(0));
        Assert.Equal(0, transport.MaxQueueSize(1));
        DriverQueue queue = new(_memory, 0x1000, 16, eventIndex: true);
        Assert.NotEqual(0UL, transport.Start(VirtioFeatures.EventIndex, queue) & VirtioFeatures.EventIndex);

        queue.Add(Piece.Out(0x1_0000, 64), Piece.Out(0x50_0000, 64));
        Assert.Equal(128u, transport.Run(0, queue));
        transport.AwaitInterrupt(0);

        Assert.True(_memory[0x1_0000, 64].IndexOfAnyExcept((byte)0) >= 0);
        Assert.True(_memory[0x50_0000, 64].IndexOfAnyExcept((byte)0) >= 0);
        Assert.NotEqual(_memory[0x1_0000, 64].ToArray(), _memory[0x50_0000, 64].ToArray());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_driver_that_takes_the_device_and_lets_go_of_it_is_told_of(bool pci)
    {
        List<bool> told = [];
        RngDevice device = new("__rng", "/dev/urandom", NullLogger.Instance) { ActivityChanged = told.Add };
        IGuestTransport transport = pci ? new PciGuest(device, _memory) : new MmioGuest(device, _memory);
        using var owner = (IDisposable)transport;
        transport.Status = 0;
        Assert.Empty(told);
        transport.Start(VirtioFeatures.EventIndex, new DriverQueue(_memory, 0x1000, 16, eventIndex: true));
        Assert.Equal([true], told);
        transport.Status = 0;
        Assert.Equal([true, false], told);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Features_that_are_not_on_offer_are_refused(bool pci)
    {
        using IDisposable owner = Make(pci, out IGuestTransport transport);
        transport.Status = 3;
        transport.AcceptFeatures(transport.DeviceFeatures | (1UL << 5));
        transport.Status = 11;
        Assert.Equal(3, transport.Status);

        // Without VERSION_1 the driver is a legacy one.
        transport.AcceptFeatures(0);
        transport.Status = 11;
        Assert.Equal(3, transport.Status);

        // DRIVER_OK needs FEATURES_OK.
        transport.Status = 7;
        Assert.Equal(3, transport.Status);

        transport.AcceptFeatures(VirtioFeatures.Version1);
        transport.Status = 11;
        Assert.Equal(11, transport.Status);
        transport.AcceptFeatures(0);
        transport.Status = 15;
        Assert.Equal(15, transport.Status);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_queue_outside_memory_needs_a_reset_and_reset_cures_it(bool pci)
    {
        using IDisposable owner = Make(pci, out IGuestTransport transport);
        transport.Status = 3;
        transport.AcceptFeatures(VirtioFeatures.Version1);
        transport.Status = 11;
        transport.SetUpQueue(0, new QueueState { Size = 16, DescriptorTable = TestMemory.HoleStart, AvailRing = 0x2000, UsedRing = 0x3000 });
        transport.Status = 15;
        Assert.Equal(15 | 64, transport.Status);

        DriverQueue queue = new(_memory, 0x1000, 16, eventIndex: false);
        transport.Start(0, queue);
        queue.Add(Piece.Out(0x1_0000, 8));
        Assert.Equal(8u, transport.Run(0, queue));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_bad_descriptor_needs_a_reset(bool pci)
    {
        using IDisposable owner = Make(pci, out IGuestTransport transport);
        DriverQueue queue = new(_memory, 0x1000, 16, eventIndex: false);
        transport.Start(0, queue);
        queue.OfferRaw(99);
        queue.Publish();
        transport.Notify(0);

        Assert.True(SpinWait.SpinUntil(() => (transport.Status & 64) != 0, 10_000));
        if (pci)
        {
            ((PciGuest)owner).Msi.Vectors[0].Await();
        }

        transport.Status = 0;
        Assert.Equal(0, transport.Status);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_queue_larger_than_allowed_needs_a_reset(bool pci)
    {
        using IDisposable owner = Make(pci, out IGuestTransport transport);
        DriverQueue queue = new(_memory, 0x1000, 512, eventIndex: false);
        transport.Status = 3;
        transport.AcceptFeatures(VirtioFeatures.Version1);
        transport.Status = 11;
        transport.SetUpQueue(0, queue.Layout);
        transport.Status = 15;
        Assert.Equal(15 | 64, transport.Status);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Work_goes_on_in_another_instance_and_the_state_is_equal(bool pci)
    {
        DriverQueue queue = new(_memory, 0x1000, 16, eventIndex: true);
        string saved;
        object state;
        using (Make(pci, out IGuestTransport first))
        {
            first.Start(VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors, queue);
            for (int i = 0; i < 20; i++)
            {
                queue.Add(Piece.Out(0x1_0000, 8));
                first.Run(0, queue);
            }

            Pause(first);

            // Published while nobody looks: the next instance must find it without a notification.
            queue.Add(Piece.Out(0x2_0000, 32));
            queue.Publish();
            state = Save(first);
            saved = StateText.Of(state);
            Assert.Equal(saved, StateText.Of(Save(first)));
        }

        using IDisposable owner = Make(pci, out IGuestTransport second);
        Restore(second, state);
        Assert.Equal(saved, StateText.Of(Save(second)));
        Resume(second);
        Assert.Equal(32u, queue.Await().Length);
        second.AwaitInterrupt(0);
        queue.Add(Piece.Out(0x3_0000, 8));
        Assert.Equal(8u, second.Run(0, queue));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_state_that_does_not_fit_is_refused(bool pci)
    {
        using IDisposable owner = Make(pci, out IGuestTransport transport);
        Pause(transport);
        TransportState good = Save(transport) is PciTransportState p ? p.Transport : ((MmioTransportState)Save(transport)).Transport;
        TransportState[] bad =
        [
            good with { DriverFeatures = 1UL << 40 },
            good with { Queues = [] },
            good with { Queues = [new QueueState { Enabled = true, Size = 1024 }] },
            good with { Device = new Cnvm.Virtio.Console.ConsoleState { Columns = 1, Rows = 1 } },
        ];
        foreach (TransportState state in bad)
        {
            Assert.Throws<DeviceStateException>(() => Restore(transport, Save(transport) switch
            {
                PciTransportState whole => whole with { Transport = state },
                _ => new MmioTransportState { Transport = state, InterruptStatus = 0 },
            }));
        }
    }

    [Fact]
    public void Saving_while_queues_run_is_a_mistake_of_the_machine()
    {
        using IDisposable owner = Make(true, out IGuestTransport transport);
        transport.Start(0, new DriverQueue(_memory, 0x1000, 16, eventIndex: false));
        Assert.Throws<InvalidOperationException>(() => Save(transport));
    }

    internal static void Pause(IGuestTransport transport)
    {
        if (transport is PciGuest pci)
        {
            pci.Function.Pause();
        }
        else
        {
            ((MmioGuest)transport).Transport.Pause();
        }
    }

    internal static void Resume(IGuestTransport transport)
    {
        if (transport is PciGuest pci)
        {
            pci.Function.Resume();
        }
        else
        {
            ((MmioGuest)transport).Transport.Resume();
        }
    }

    internal static object Save(IGuestTransport transport) =>
        transport is PciGuest pci ? pci.Function.Save() : ((MmioGuest)transport).Transport.Save();

    internal static void Restore(IGuestTransport transport, object state)
    {
        if (transport is PciGuest pci)
        {
            pci.Function.Restore((PciTransportState)state);
        }
        else
        {
            ((MmioGuest)transport).Transport.Restore((MmioTransportState)state);
        }
    }

    private IDisposable Make(bool pci, out IGuestTransport transport)
    {
        RngDevice device = new("__rng", "/dev/urandom", NullLogger.Instance);
        transport = pci ? new PciGuest(device, _memory) : new MmioGuest(device, _memory);
        return (IDisposable)transport;
    }
}
