using System.Net.Sockets;
using Cnvm.Devices;
using Cnvm.Linux;
using Cnvm.Virtio.Rng;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Tests.Transport;
using Cnvm.Virtio.Vsock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Vsock;

/// <content>Many connections, and the device as a whole: pause, restore, reset.</content>
public sealed partial class VsockDeviceTests
{
    [Fact]
    public void A_thousand_connections_each_way_are_their_own()
    {
        const int Connections = 500;
        using IDisposable owner = Make(true, out IGuestTransport transport, out VsockDevice device);
        VsockDriver driver = new(_memory, transport);
        driver.Offer(32);
        using Socket server = _host.Listen(Port);
        List<(Socket Socket, VsockPacket Packet)> all = [];
        for (uint i = 0; i < Connections; i++)
        {
            VsockPacket request = new(GuestPort + i, Port, VsockPacket.Request);
            driver.Send(request);
            driver.Await(VsockPacket.Response);
            all.Add((_host.Accept(server), request));
            all.Add(Open(driver, port: 100_000 + i));
        }

        foreach ((Socket socket, VsockPacket packet) in all)
        {
            byte[] name = BitConverter.GetBytes(packet.SourcePort);
            driver.Send(packet with { Operation = VsockPacket.ReadWrite, Payload = name });
            Assert.Equal(name, VsockHost.Read(socket, 4));
            socket.Send(name);
            VsockPacket echo = driver.Await(VsockPacket.ReadWrite);
            Assert.Equal(packet.SourcePort, echo.DestinationPort);
            Assert.Equal(name, echo.Payload);
        }

        // The table is full at 1024; one that ends makes room.
        for (uint i = 0; i < 24; i++)
        {
            all.Add(Open(driver, port: 200_000 + i));
        }

        driver.Send(new VsockPacket(7, Port, VsockPacket.Request));
        driver.Await(VsockPacket.Reset);
        Socket late = _host.Connect("CONNECT 9\n");
        Assert.False(late.Poll(100_000, SelectMode.SelectRead));
        driver.Send(all[0].Packet with { Operation = VsockPacket.Reset });
        driver.Await(VsockPacket.Request);
        Assert.Equal((ulong)all.Count, device.Counters.ConnectionsOpened);
    }

    [Fact]
    public void Without_receive_buffers_everything_waits_and_nothing_is_lost()
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out _);
        VsockDriver driver = new(_memory, transport);

        // More resets than are kept: the device stops taking packets until it can send some.
        for (uint i = 0; i < 300; i++)
        {
            byte[] packet = new VsockPacket(i, 9, VsockPacket.Request).ToArray();
            packet.CopyTo(_memory[0x30_0000 + (i * 64), packet.Length]);
        }

        int queued = 0;
        int taken = 0;
        List<uint> answered = [];
        long deadline = Environment.TickCount64 + 20_000;
        bool hasOffered = false;
        while (answered.Count < 300)
        {
            while (queued < 300 && driver.Transmitting.FreeDescriptors > 0)
            {
                driver.Transmitting.Add(Piece.In(0x30_0000 + ((ulong)queued++ * 64), 44));
                if (driver.Transmitting.Publish())
                {
                    transport.Notify(1);
                }
            }

            while (driver.Transmitting.TryTake(out _, out _))
            {
                taken++;
            }

            if (!hasOffered && taken >= 256)
            {
                Assert.Equal(256, taken);
                hasOffered = true;
                driver.Offer(8);
            }

            while (driver.Receiving.HasUsed)
            {
                answered.Add(driver.Await(VsockPacket.Reset).DestinationPort);
            }

            Assert.True(Environment.TickCount64 < deadline, $"{taken} taken, {answered.Count} answered");
        }

        Assert.Equal(Enumerable.Range(0, 300).Select(i => (uint)i), answered);
    }

    [Fact]
    public void A_pause_changes_nothing_for_connections()
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out _);
        VsockDriver driver = new(_memory, transport);
        driver.Offer();
        (Socket client, VsockPacket packet) = Open(driver);
        TransportTests.Pause(transport);
        client.Send("while it slept"u8);
        Socket second = _host.Connect("CONNECT 77\n");
        object state = TransportTests.Save(transport);
        Assert.Equal(StateText.Of(state), StateText.Of(TransportTests.Save(transport)));
        TransportTests.Resume(transport);
        VsockPacket[] both = [driver.Await(), driver.Await()];
        Assert.Equal("while it slept"u8.ToArray(), both.Single(p => p.Operation == VsockPacket.ReadWrite).Payload);
        Assert.Equal(77u, both.Single(p => p.Operation == VsockPacket.Request).DestinationPort);
        driver.Send(packet with { Operation = VsockPacket.ReadWrite, Payload = "awake"u8.ToArray() });
        Assert.Equal("awake"u8.ToArray(), VsockHost.Read(client, 5));
        second.Close();
        driver.Await(VsockPacket.Reset);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_restored_driver_learns_that_its_connections_are_gone(bool pci)
    {
        IDisposable owner = Make(pci, out IGuestTransport transport, out _);
        VsockDriver driver = new(_memory, transport);
        driver.Offer();
        driver.OfferEvent();
        (Socket client, VsockPacket packet) = Open(driver);
        TransportTests.Pause(transport);
        object state = TransportTests.Save(transport);
        owner.Dispose();
        Assert.True(VsockHost.IsAtEnd(client));
        Assert.False(File.Exists(_host.Path));

        using IDisposable second = Make(pci, out transport, out _);
        TransportTests.Restore(transport, state);
        Assert.Equal(StateText.Of(state), StateText.Of(TransportTests.Save(transport)));
        TransportTests.Resume(transport);
        driver.Transport = transport;
        Assert.Equal(0u, driver.AwaitEvent());
        driver.Send(packet with { Operation = VsockPacket.ReadWrite, Payload = "lost"u8.ToArray() });
        driver.Await(VsockPacket.Reset);
        (client, packet) = Open(driver);
        driver.Send(packet with { Operation = VsockPacket.ReadWrite, Payload = "new"u8.ToArray() });
        Assert.Equal("new"u8.ToArray(), VsockHost.Read(client, 3));
        Assert.False(driver.Events.HasUsed);
    }

    [Fact]
    public void A_driver_that_starts_again_finds_no_connection_and_is_told_of_no_reset()
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out _);
        VsockDriver driver = new(_memory, transport);
        driver.Offer();
        (Socket client, _) = Open(driver);
        transport.Status = 0;
        Assert.True(VsockHost.IsAtEnd(client));
        driver = new VsockDriver(_memory, transport);
        driver.Offer();
        driver.OfferEvent();
        (client, VsockPacket packet) = Open(driver);
        driver.Send(packet with { Operation = VsockPacket.ReadWrite, Payload = "new"u8.ToArray() });
        Assert.Equal("new"u8.ToArray(), VsockHost.Read(client, 3));
        Assert.False(driver.Events.HasUsed);
    }

    [Fact]
    public void Another_devices_state_and_a_socket_that_somebody_serves_are_refused()
    {
        using VsockDevice device = new(Options(), NullLogger.Instance);
        Assert.Throws<DeviceStateException>(() => device.Restore(new RngState()));
        Assert.Throws<LinuxException>(() => new VsockDevice(Options(), NullLogger.Instance));
        Assert.True(File.Exists(_host.Path));
    }
}
