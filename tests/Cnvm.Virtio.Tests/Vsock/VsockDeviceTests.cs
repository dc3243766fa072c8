using System.Net.Sockets;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Vsock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Vsock;

public sealed partial class VsockDeviceTests : IDisposable
{
    private const uint Port = 1024;
    private const uint GuestPort = 5000;
    private const uint Buffer = 128 * 1024;
    private readonly TestMemory _memory = new();
    private readonly VsockHost _host = new();

    public void Dispose()
    {
        _memory.Dispose();
        _host.Dispose();
    }

    [Theory]
    [InlineData(true, ~0UL)]
    [InlineData(true, 0UL)]
    [InlineData(false, ~0UL)]
    public void A_host_program_reaches_a_guest_port(bool pci, ulong features)
    {
        using IDisposable owner = Make(pci, out IGuestTransport transport, out VsockDevice device);
        Assert.Equal([3, 0, 0, 0, 0, 0, 0, 0], transport.ReadConfiguration(0, 8));
        VsockDriver driver = new(_memory, transport, features);
        driver.Offer();

        // What comes behind the greeting is for the guest.
        Socket client = _host.Connect($"CONNECT {Port}\nhello");
        VsockPacket request = driver.Await(VsockPacket.Request);
        Assert.Equal((Port, 2UL, 3UL, (ushort)1, Buffer), (request.DestinationPort, request.SourceCid, request.DestinationCid, request.Type, request.BufferSize));
        VsockPacket reply = new(Port, request.SourcePort, VsockPacket.Response);
        driver.Send(reply);
        Assert.Equal($"OK {request.SourcePort}", VsockHost.ReadLine(client));
        Assert.Equal("hello"u8.ToArray(), driver.Await(VsockPacket.ReadWrite).Payload);

        driver.Send(reply with { Operation = VsockPacket.ReadWrite, Payload = "world"u8.ToArray() });
        Assert.Equal("world"u8.ToArray(), VsockHost.Read(client, 5));

        // The program goes: the guest consumes the end, and answers with a reset.
        client.Close();
        AwaitShutdown(driver, 3);
        driver.Send(reply with { Operation = VsockPacket.Reset });
        Assert.Equal((5UL, 5UL, 1UL, 0UL, 0UL), Of(device, c => (c.RxBytes, c.TxBytes, c.ConnectionsOpened, c.ConnectionsRefused, c.ConnectionsReset)));
    }

    [Theory]
    [InlineData("connect 7\r\n", true)]
    [InlineData("CONNECT 4294967295\n", true)]
    [InlineData("CONNECT 4294967296\n", false)]
    [InlineData("CONNECT -1\n", false)]
    [InlineData("CONNECT \n", false)]
    [InlineData("CONNECT 7 \n", false)]
    [InlineData("\n", false)]
    [InlineData("GET / HTTP/1.1\r\n", false)]
    [InlineData("CONNECT 00000000000000000000000000000000000007\n", false)]
    public void Greetings_are_taken_as_they_are_meant_or_refused(string greeting, bool isGood)
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out VsockDevice device);
        VsockDriver driver = new(_memory, transport);
        driver.Offer();
        int half = greeting.Length / 2;
        Socket client = _host.Connect(greeting[..half]);
        client.Send(System.Text.Encoding.ASCII.GetBytes(greeting[half..]));
        if (isGood)
        {
            VsockPacket request = driver.Await(VsockPacket.Request);
            driver.Send(new VsockPacket(request.DestinationPort, request.SourcePort, VsockPacket.Reset));
        }

        Assert.True(VsockHost.IsGone(client));
        Assert.Equal(1UL, device.Counters.ConnectionsRefused);
    }

    [Fact]
    public void A_guest_program_reaches_a_socket_of_the_host_and_nothing_else()
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out VsockDevice device);
        using Socket server = _host.Listen(Port);
        VsockDriver driver = new(_memory, transport);
        driver.Offer();
        VsockPacket request = new(GuestPort, Port, VsockPacket.Request);
        driver.Send(request);
        VsockPacket response = driver.Await(VsockPacket.Response);
        Assert.Equal((Port, GuestPort), (response.SourcePort, response.DestinationPort));
        Socket client = _host.Accept(server);
        client.Send("abc"u8);
        Assert.Equal("abc"u8.ToArray(), driver.Await(VsockPacket.ReadWrite).Payload);

        // Where nobody listens.
        driver.Send(request with { DestinationPort = Port + 1 });
        VsockPacket reset = driver.Await(VsockPacket.Reset);
        Assert.Equal((Port + 1, GuestPort), (reset.SourcePort, reset.DestinationPort));
        Assert.Equal((1UL, 1UL), Of(device, c => (c.ConnectionsOpened, c.ConnectionsRefused)));
    }

    [Fact]
    public void Each_side_can_stop_sending_and_go_on_receiving()
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out _);
        VsockDriver driver = new(_memory, transport);
        driver.Offer();
        (Socket client, VsockPacket packet) = Open(driver);

        // The guest stops; the program reads the end and still sends.
        driver.Send(packet with { Operation = VsockPacket.ReadWrite, Payload = "last"u8.ToArray() });
        driver.Send(packet with { Operation = VsockPacket.Shutdown, Flags = 2 });
        Assert.Equal("last"u8.ToArray(), VsockHost.Read(client, 4));
        Assert.True(VsockHost.IsAtEnd(client));
        client.Send("answer"u8);
        Assert.Equal("answer"u8.ToArray(), driver.Await(VsockPacket.ReadWrite).Payload);

        // The program stops: with nothing to come and nothing to go, the guest closes.
        client.Shutdown(SocketShutdown.Send);
        Assert.Equal(2u, AwaitShutdown(driver, 2) & 2);
        driver.Send(packet with { Operation = VsockPacket.Shutdown, Flags = 3 });
        driver.Await(VsockPacket.Reset);

        // The other way round: the program stops first.
        (client, packet) = Open(driver);
        client.Send("bye"u8);
        client.Shutdown(SocketShutdown.Send);
        Assert.Equal("bye"u8.ToArray(), driver.Await(VsockPacket.ReadWrite).Payload);
        Assert.Equal(2u, driver.Await(VsockPacket.Shutdown).Flags);
        driver.Send(packet with { Operation = VsockPacket.ReadWrite, Payload = "more"u8.ToArray() });
        Assert.Equal("more"u8.ToArray(), VsockHost.Read(client, 4));
        driver.Send(packet with { Operation = VsockPacket.Shutdown, Flags = 3 });
        driver.Await(VsockPacket.Reset);
        Assert.True(VsockHost.IsAtEnd(client));
    }

    [Fact]
    public void A_guest_that_receives_no_more_is_told_nothing_and_the_program_cannot_write()
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out _);
        VsockDriver driver = new(_memory, transport);
        driver.Offer();
        (Socket client, VsockPacket packet) = Open(driver);
        driver.Send(packet with { Operation = VsockPacket.Shutdown, Flags = 1 });
        Assert.Equal(SocketError.Shutdown, Assert.Throws<SocketException>(() => client.Send("x"u8)).SocketErrorCode);
        driver.Send(packet with { Operation = VsockPacket.ReadWrite, Payload = "y"u8.ToArray() });
        Assert.Equal("y"u8.ToArray(), VsockHost.Read(client, 1));
    }

    [Fact]
    public void Payload_waits_for_the_guests_credit()
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out _);
        VsockDriver driver = new(_memory, transport);
        driver.Offer();
        (Socket client, VsockPacket packet) = Open(driver, bufferSize: 1000);
        byte[] data = new byte[5000];
        Random.Shared.NextBytes(data);
        client.Send(data);
        List<byte> got = [];
        while (got.Count < data.Length)
        {
            VsockPacket part = driver.Await();
            if (part.Operation == VsockPacket.CreditRequest)
            {
                // Asked once: what was received is now taken.
                driver.Send(packet with { Operation = VsockPacket.CreditUpdate, BufferSize = 1000, Forwarded = (uint)got.Count });
                continue;
            }

            Assert.Equal(VsockPacket.ReadWrite, part.Operation);
            Assert.InRange(part.Payload.Length, 1, 1000);
            got.AddRange(part.Payload);
        }

        Assert.Equal(data, got);
    }

    [Fact]
    public void A_program_that_never_reads_costs_a_bounded_buffer_and_hurts_nobody_else()
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out VsockDevice device);
        VsockDriver driver = new(_memory, transport);
        driver.Offer(32);
        (Socket deaf, VsockPacket packet) = Open(driver);
        byte[] data = new byte[8000];
        Random.Shared.NextBytes(data);
        long sent = 0;
        uint forwarded = 0;
        int quiet = 0;
        while (quiet < 100)
        {
            // A guest that keeps the rules: never more than the room it was told of.
            while (driver.Receiving.HasUsed)
            {
                forwarded = driver.Await(VsockPacket.CreditUpdate).Forwarded;
            }

            if (sent - forwarded + data.Length <= Buffer)
            {
                driver.Send(packet with { Operation = VsockPacket.ReadWrite, Payload = data });
                sent += data.Length;
                quiet = 0;
            }
            else
            {
                quiet++;
                Thread.Sleep(1);
            }
        }

        // Another connection is served meanwhile.
        (Socket client, VsockPacket other) = Open(driver, port: Port + 1);
        driver.Send(other with { Operation = VsockPacket.ReadWrite, Payload = "through"u8.ToArray() });
        Assert.Equal("through"u8.ToArray(), VsockHost.Read(client, 7));

        // All that was taken arrives when the program reads after all, also after the guest has closed.
        driver.Send(packet with { Operation = VsockPacket.Shutdown, Flags = 3 });
        byte[] all = VsockHost.Read(deaf, (int)sent);
        for (int i = 0; i < all.Length; i += data.Length)
        {
            Assert.Equal(data, all[i..(i + data.Length)]);
        }

        Assert.True(VsockHost.IsAtEnd(deaf));
        while (driver.Await().Operation != VsockPacket.Reset)
        {
        }

        Assert.Equal(0UL, device.Counters.ConnectionsReset);
    }

    [Fact]
    public void What_the_guest_sent_before_a_reset_still_arrives_if_it_had_closed()
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out VsockDevice device);
        VsockDriver driver = new(_memory, transport);
        driver.Offer(32);
        (Socket client, VsockPacket packet) = Open(driver);
        client.ReceiveBufferSize = 4096;
        byte[] data = new byte[50_000];
        Random.Shared.NextBytes(data);
        uint sent = 0;
        uint forwarded = 0;
        for (int i = 0; i < 1000 && sent - forwarded + data.Length <= Buffer; i++)
        {
            driver.Send(packet with { Operation = VsockPacket.ReadWrite, Payload = data });
            sent += (uint)data.Length;
            while (driver.Receiving.HasUsed)
            {
                forwarded = driver.Await(VsockPacket.CreditUpdate).Forwarded;
            }
        }

        driver.Send(packet with { Operation = VsockPacket.Shutdown, Flags = 3 });
        driver.Send(packet with { Operation = VsockPacket.Reset });
        Assert.Equal((int)sent, VsockHost.Read(client, (int)sent).Length);
        Assert.True(VsockHost.IsAtEnd(client));

        // An unannounced reset discards instead.
        (client, packet) = Open(driver);
        driver.Send(packet with { Operation = VsockPacket.Reset });
        Assert.True(VsockHost.IsAtEnd(client));
        Assert.Equal(1UL, device.Counters.ConnectionsReset);
    }

    public static TheoryData<string> Offences { get; } =
        ["credit", "length", "data after shutdown", "request twice", "operation", "sequenced", "response twice", "no connection", "other host"];

    [Theory]
    [MemberData(nameof(Offences))]
    public void Who_breaks_the_rules_is_reset_and_others_go_on(string offence)
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out _);
        VsockDriver driver = new(_memory, transport);
        driver.Offer();
        (Socket good, VsockPacket packet) = Open(driver);
        (Socket bad, VsockPacket other) = Open(driver, port: Port + 1);
        VsockPacket payload = other with { Operation = VsockPacket.ReadWrite };
        bool isConnectionsOwn = true;
        switch (offence)
        {
            case "credit":
                // A hole in the buffer takes what fits; one byte too many in one packet is too many.
                driver.Send(payload with { Payload = new byte[Buffer + 1] });
                break;
            case "length":
                driver.Send(payload with { Payload = new byte[10], Length = 11 });
                break;
            case "data after shutdown":
                driver.Send(other with { Operation = VsockPacket.Shutdown, Flags = 2 });
                driver.Send(payload with { Payload = new byte[10] });
                break;
            case "request twice":
                driver.Send(other with { Operation = VsockPacket.Request });
                break;
            case "operation":
                driver.Send(other with { Operation = 8 });
                break;
            case "response twice":
                driver.Send(other with { Operation = VsockPacket.Response });
                break;
            case "sequenced":
                isConnectionsOwn = false;
                driver.Send(new VsockPacket(9, 9, VsockPacket.Request) { Type = 2 });
                break;
            case "other host":
                isConnectionsOwn = false;
                driver.Send(new VsockPacket(9, 9, VsockPacket.Request) { DestinationCid = 77 });
                break;
            default:
                isConnectionsOwn = false;
                driver.Send(new VsockPacket(9, 9, VsockPacket.ReadWrite) { Payload = new byte[10] });
                break;
        }

        VsockPacket reset = driver.Await(VsockPacket.Reset);
        Assert.Equal(isConnectionsOwn ? (other.DestinationPort, other.SourcePort) : (9u, 9u), (reset.SourcePort, reset.DestinationPort));
        if (isConnectionsOwn)
        {
            Assert.True(VsockHost.IsAtEnd(bad));
        }

        driver.Send(packet with { Operation = VsockPacket.ReadWrite, Payload = "fine"u8.ToArray() });
        Assert.Equal("fine"u8.ToArray(), VsockHost.Read(good, 4));
    }

    [Fact]
    public void Packets_without_a_sender_are_ignored()
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out _);
        VsockDriver driver = new(_memory, transport);
        driver.Offer();
        driver.Send(new byte[43]);
        driver.Send(new VsockPacket(9, 9, VsockPacket.Request) { SourceCid = 4 });
        driver.Send(new VsockPacket(9, 9, VsockPacket.Reset));
        driver.Send(new VsockPacket(8, 8, VsockPacket.Request));
        Assert.Equal(8u, driver.Await(VsockPacket.Reset).SourcePort);
    }

    private static uint AwaitShutdown(VsockDriver driver, uint wanted)
    {
        // The end of the bytes may be told before the end of everything.
        uint flags = 0;
        while ((flags & wanted) != wanted)
        {
            flags = driver.Await(VsockPacket.Shutdown).Flags;
        }

        return flags;
    }

    private static T Of<T>(VsockDevice device, Func<VsockCounters, T> select) => select(device.Counters);

    /// <summary>A connection that a host program began; the packet has its ports.</summary>
    private (Socket Client, VsockPacket Packet) Open(VsockDriver driver, uint bufferSize = 1 << 20, uint port = Port)
    {
        Socket client = _host.Connect($"CONNECT {port}\n");
        VsockPacket request = driver.Await(VsockPacket.Request);
        VsockPacket packet = new(port, request.SourcePort, VsockPacket.Response) { BufferSize = bufferSize };
        driver.Send(packet);
        Assert.Equal($"OK {request.SourcePort}", VsockHost.ReadLine(client));
        return (client, packet);
    }

    private VsockOptions Options() => new() { Id = "_vsock0", Cid = 3, SocketPath = _host.Path };

    private IDisposable Make(bool pci, out IGuestTransport transport, out VsockDevice device)
    {
        device = new VsockDevice(Options(), NullLogger.Instance);
        transport = pci ? new PciGuest(device, _memory) : new MmioGuest(device, _memory);
        return (IDisposable)transport;
    }
}
