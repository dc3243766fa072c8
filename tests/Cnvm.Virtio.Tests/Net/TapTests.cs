using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.NetworkInformation;
using Cnvm.Linux;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Net;

/// <summary>A real TAP interface in a network namespace: the host's kernel is the other end.</summary>
public sealed class TapTests
{
    private static readonly PhysicalAddress HostMac = PhysicalAddress.Parse("02-00-00-00-00-01");
    private static readonly byte[] GuestMac = [2, 0, 0, 0, 0, 2];
    private static readonly byte[] HostIp = [192, 0, 2, 1];
    private static readonly List<TapQueue> Donors = [];
    private static readonly byte[] GuestIp = [192, 0, 2, 2];

    [SkippableTheory]
    [InlineData(1)]
    [InlineData(2)]
    public void The_host_answers_arp_and_ping(int pairs) => NetworkNamespace.Run(() =>
    {
        using TestMemory memory = new();
        using TapBackend backend = TapBackend.Open(new TapOptions
        {
            Name = "cnvmtest0",
            Queues = pairs,
            Address = new IPAddress(HostIp),
            Mask = IPAddress.Parse("255.255.255.0"),
            HostMac = HostMac,
            Mtu = 1400,
        });
        Assert.Equal("cnvmtest0", backend.Name);
        Assert.Equal(HostMac, backend.HostMac);
        using (NetInterface host = new("cnvmtest0"))
        {
            Assert.Equal(1400, host.Mtu);
            Assert.True(host.IsUp);
        }

        AssertAnswers(backend, memory, pairs);
    });

    /// <summary>The same through a macvtap interface on one end of a pair, whose other end is the host's.</summary>
    [SkippableTheory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_macvtap_interface_carries_what_a_tap_does(int pairs) => NetworkNamespace.Run(() =>
    {
        int number = MakeMacvtap("02:00:00:00:00:02", Random.Shared.Next(100_000, 1_000_000_000));
        using TestMemory memory = new();
        Assert.Equal(new PhysicalAddress(GuestMac), TapBackend.AddressOf("cnvmtest0"));
        Assert.Null(TapBackend.AddressOf("cnvmtest9"));
        Assert.Null(TapBackend.AddressOf("cnvmtest8"));
        Assert.Null(TapBackend.Obstacle(new TapOptions { Name = "cnvmtest0", Queues = pairs }));
        using (TapBackend backend = TapBackend.Open(new TapOptions { Name = "cnvmtest0", Queues = pairs, Mtu = 1400 }))
        {
            Assert.True(backend.IsGuestsOwn);
            Assert.Equal(new PhysicalAddress(GuestMac), backend.HostMac);
            Assert.NotEqual(TapOffloads.None, backend.SupportedOffloads & TapOffloads.Tso4);
            using NetInterface host = new("cnvmtest0");
            Assert.Equal(number, host.Index);
            Assert.Equal(1400, host.Mtu);
            Assert.True(host.IsUp);

            // Another process can go on with its queues.
            using TapQueue handed = TapQueue.FromDescriptor(FileDescriptor.Duplicate(backend.HostDescriptors[0]));
            Assert.Equal(("cnvmtest0", pairs > 1), (handed.Name, handed.IsMultiQueue));
            AssertAnswers(backend, memory, pairs);
        }

        // Whoever made it keeps it.
        using NetInterface kept = new("cnvmtest0");
        Assert.True(kept.Exists);
    });

    [SkippableFact]
    public void A_macvtap_interface_whose_queues_are_not_here_is_refused_by_its_node() => NetworkNamespace.Run(() =>
    {
        int number = MakeMacvtap("02:00:00:00:00:02", Random.Shared.Next(100_000, 1_000_000_000));
        Ip("link add link cnvmtest8 name cnvmtest4 type macvlan mode bridge");
        using NetInterface plain = new("cnvmtest4");
        NetBackendException e = Assert.Throws<NetBackendException>(() => TapBackend.Open(new TapOptions { Name = "cnvmtest4" }));
        Assert.Contains($"/dev/tap{plain.Index}, which is not here", e.Message, StringComparison.Ordinal);
        Assert.Equal(e.Message, TapBackend.Obstacle(new TapOptions { Name = "cnvmtest4" }));

        // Numbers are given out in each network namespace, and devices have one place.
        NetworkNamespace.Run(() =>
        {
            MakeMacvtap("02:00:00:00:00:04", number);
            e = Assert.Throws<NetBackendException>(() => TapBackend.Open(new TapOptions { Name = "cnvmtest0", Queues = 2 }));
            Assert.Contains($"/dev/tap{number} is not cnvmtest0, but an interface cnvmtest0 of another network namespace", e.Message, StringComparison.Ordinal);
        });
    });

    /// <summary>An interface on one end of a pair; the host's end has its addresses.</summary>
    private static int MakeMacvtap(string mac, int number)
    {
        Ip("link add cnvmtest8 type veth peer name cnvmtest9 address 02:00:00:00:00:01");
        string? refusal = TryIp($"link add link cnvmtest8 name cnvmtest0 index {number} address {mac} type macvtap mode bridge");
        Skip.If(refusal is not null, $"this kernel has no macvtap: {refusal}");
        Skip.IfNot(File.Exists($"/dev/tap{number}"), "nobody makes nodes of macvtap interfaces in this /dev");
        Ip("address add 192.0.2.1/24 dev cnvmtest9");
        Ip("link set cnvmtest8 up");
        Ip("link set cnvmtest9 up");
        return number;
    }

    private static void Ip(string arguments) => Assert.Null(TryIp(arguments));

    /// <summary>Null if it succeeded. A process starts in the network namespace of the thread that starts it.</summary>
    private static string? TryIp(string arguments)
    {
        using Process ip = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true })!;
        string said = ip.StandardError.ReadToEnd();
        ip.WaitForExit();
        return ip.ExitCode == 0 ? null : said;
    }

    private static void AssertAnswers(TapBackend backend, TestMemory memory, int pairs)
    {
        NetDevice device = new(new NetOptions { Id = "_net0", Mac = new PhysicalAddress(GuestMac) }, backend, NullLogger.Instance);
        using PciGuest guest = new(device, memory);
        NetDriver driver = new(memory, guest, pairs);
        driver.Offer(7);
        driver.Send(ArpRequest());
        byte[] reply = AwaitType(driver, 0x0806);
        Assert.Equal(GuestMac, reply[0..6]);
        Assert.Equal(HostMac.GetAddressBytes(), reply[6..12]);
        Assert.Equal(HostIp, reply[28..32]);

        driver.Send(Ping(1000));
        reply = AwaitType(driver, 0x0800);
        Assert.Equal(1042, reply.Length);
        Assert.Equal(0, reply[34]);
        Assert.Equal(Ping(1000)[42..], reply[42..]);

        // Traffic while the machine is paused waits in the kernel.
        guest.Function.Pause();
        driver.Transmit(0).Add(Piece.In(0x30_0000, 12), Piece.In(0x30_0040, 42));
        memory[0x30_0000, 12].Clear();
        ArpRequest().CopyTo(memory[0x30_0040, 42]);
        driver.Transmit(0).Publish();
        guest.Function.Resume();
        driver.Transmit(0).Await();
        Assert.Equal(HostIp, AwaitType(driver, 0x0806)[28..32]);
        Assert.True(device.Counters.RxFrames >= 3);
        Assert.Equal(3UL, device.Counters.TxFrames);
    }

    [SkippableFact]
    public void Interfaces_come_and_go_and_are_not_changed_when_they_were_there() => NetworkNamespace.Run(() =>
    {
        using (TapBackend made = TapBackend.Open(new TapOptions { Queues = 2 }))
        {
            Assert.StartsWith("vmtap", made.Name, StringComparison.Ordinal);
            using NetInterface host = new(made.Name);
            Assert.True(host.Exists);
            Assert.NotEqual(TapOffloads.None, made.SupportedOffloads & TapOffloads.Tso4);

            // Another user of a multi-queue interface joins it, but one of another mode cannot.
            NetBackendException e = Assert.Throws<NetBackendException>(() => TapBackend.Open(new TapOptions { Name = made.Name }));
            Assert.Contains(made.Name, e.Message, StringComparison.Ordinal);
            Assert.Equal(e.Message, TapBackend.Obstacle(new TapOptions { Name = made.Name }));
        }

        // Somebody else's may be free when it is needed, and what is made for asking is gone afterwards.
        using (TapBackend held = TapBackend.Open(new TapOptions { Name = "cnvmtest5" }))
        {
            Assert.Null(TapBackend.Obstacle(new TapOptions { Name = held.Name }));
        }

        Assert.Null(TapBackend.Obstacle(new TapOptions { Name = "cnvmtest6" }));
        using (NetInterface asked = new("cnvmtest6"))
        {
            Assert.False(asked.Exists);
        }

        using (NetInterface gone = new("vmtap0"))
        {
            Assert.False(gone.Exists);
        }

        Assert.Throws<NetBackendException>(() => TapBackend.Open(new TapOptions { Name = "a-name-that-is-too-long" }));
        Assert.Throws<NetBackendException>(() => TapBackend.Open(new TapOptions
        {
            Name = "cnvmtest1",
            Address = IPAddress.Loopback,
            Mask = IPAddress.IPv6Loopback,
        }));
        using NetInterface nothingLeft = new("cnvmtest1");
        Assert.False(nothingLeft.Exists);
    });

    [SkippableFact]
    public void Descriptors_that_are_no_tap_are_refused() => NetworkNamespace.Run(() =>
    {
        Assert.Throws<NetBackendException>(() => TapBackend.Open(new TapOptions { Queues = 2, Descriptors = [0] }));
        TapQueue donor = TapQueue.Open("cnvmtest2", multiQueue: false);
        using TapBackend taken = TapBackend.Open(new TapOptions { Descriptors = [donor.Fd] });
        Assert.Equal("cnvmtest2", taken.Name);

        // The back end closes the descriptor; its first owner must never do so again.
        Donors.Add(donor);
    });

    [SkippableFact]
    public void An_ipv6_address_can_be_set() => NetworkNamespace.Run(() =>
    {
        using TapBackend backend = TapBackend.Open(new TapOptions { Name = "cnvmtest3", Address = IPAddress.Parse("2001:db8::1") });
        Assert.Contains("20010db8000000000000000000000001", File.ReadAllText("/proc/thread-self/net/if_inet6"), StringComparison.Ordinal);
    });

    private static byte[] AwaitType(NetDriver driver, ushort type)
    {
        // The kernel sends neighbour discovery of its own: pass over it.
        for (int i = 0; i < 50; i++)
        {
            byte[] frame = driver.Await();
            driver.Offer(1);
            if (BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(24)) == type)
            {
                return frame[12..];
            }
        }

        throw new Xunit.Sdk.XunitException("no such frame among fifty");
    }

    private static byte[] ArpRequest() =>
    [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, .. GuestMac, 0x08, 0x06,
        0, 1, 8, 0, 6, 4, 0, 1, .. GuestMac, .. GuestIp, 0, 0, 0, 0, 0, 0, .. HostIp,
    ];

    private static byte[] Ping(int payload)
    {
        byte[] frame = new byte[42 + payload];
        HostMac.GetAddressBytes().CopyTo(frame, 0);
        GuestMac.CopyTo(frame, 6);
        frame[12] = 8;
        frame[14] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(16), (ushort)(28 + payload));
        frame[22] = 64;
        frame[23] = 1;
        GuestIp.CopyTo(frame, 26);
        HostIp.CopyTo(frame, 30);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(24), Checksum(frame.AsSpan(14, 20)));
        frame[34] = 8;
        for (int i = 0; i < payload; i++)
        {
            frame[42 + i] = (byte)i;
        }

        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(36), Checksum(frame.AsSpan(34)));
        return frame;
    }

    private static ushort Checksum(ReadOnlySpan<byte> data)
    {
        uint sum = 0;
        for (int i = 0; i < data.Length; i += 2)
        {
            sum += (uint)((data[i] << 8) | (i + 1 < data.Length ? data[i + 1] : 0));
        }

        while (sum >> 16 != 0)
        {
            sum = (sum & 0xffff) + (sum >> 16);
        }

        return (ushort)~sum;
    }
}
