using System.Net.NetworkInformation;
using Cnvm.Devices;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Transport;
using Cnvm.Virtio.VhostUser;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.VhostUser;

/// <summary>An interface whose back end sends every frame back.</summary>
public sealed class VhostUserNetTests : IDisposable
{
    private static readonly byte[] Mac = [2, 1, 2, 3, 4, 5];
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-vhost-").FullName;
    private readonly TestMemory _memory = new(sharedRegions: 1);

    private string Socket => Path.Combine(_folder, "s");

    public void Dispose()
    {
        _memory.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Frames_go_there_and_come_back_also_after_a_restore()
    {
        PciTransportState state;
        string saved;
        using (VhostUserPeer peer = Peer().Start())
        using (PciGuest guest = new(Device(1), _memory))
        {
            NetDriver driver = new(_memory, guest);
            Assert.Equal(Mac[..4], guest.ReadConfiguration(0, 4));
            Assert.Equal(1400, BitConverter.ToUInt16(guest.ReadConfiguration(10, 2)));
            driver.Offer(4);
            byte[] frame = [.. Enumerable.Range(0, 200).Select(i => (byte)i)];
            driver.Send(frame);
            Assert.Equal(frame, driver.Await()[NetDriver.HeaderBytes..]);
            guest.AwaitInterrupt(0);

            var device = (VhostUserNetDevice)guest.Function.Device;
            device.Announce();
            guest.Function.Pause();
            state = guest.Function.Save();
            saved = StateText.Of(state);
            guest.Function.Resume();
            driver.Send(frame);
            Assert.Equal(frame, driver.Await()[NetDriver.HeaderBytes..]);
            Assert.True(device.ShowLocation());
            Assert.Contains(19u, peer.Requests);
            Assert.Contains(20u, peer.Requests);
        }

        using (VhostUserPeer peer = Peer().Start())
        using (PciGuest guest = new(Device(1), _memory))
        {
            guest.Function.Restore(state);
            Assert.Equal(saved, StateText.Of(guest.Function.Save()));
            Assert.Equal(3, guest.ReadConfiguration(6, 1)[0]);
        }

        using (VhostUserPeer peer = Peer().Start())
        using (PciGuest guest = new(Device(2), _memory))
        {
            Assert.Throws<DeviceStateException>(() => guest.Function.Restore(state));
        }
    }

    [Fact]
    public void Pairs_are_enabled_as_the_driver_wants_them()
    {
        using VhostUserPeer peer = Peer().Start();
        using PciGuest guest = new(Device(2), _memory);
        Assert.NotEqual(0UL, guest.DeviceFeatures & (1UL << 22));
        NetDriver driver = new(_memory, guest, pairs: 2);
        Assert.Equal(2, peer.Rings.Kicks.Count);
        Assert.True(driver.Control(4, 0, 2, 0));
        Assert.Equal(4, peer.Rings.Kicks.Count);
        byte[] frame = [.. Enumerable.Repeat((byte)7, 60)];
        driver.Offer(2, pair: 1);
        driver.Send(frame, pair: 1);
        Assert.Equal(frame, driver.Await(1)[NetDriver.HeaderBytes..]);
        Assert.False(driver.Control(4, 0, 3, 0));
        Assert.False(driver.Control(5, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        Assert.True(driver.Control(4, 0, 1, 0));
        Assert.Equal(2, peer.Rings.Kicks.Count);
    }

    [Fact]
    public void Another_back_end_takes_its_place()
    {
        using VhostUserPeer first = Peer().Start();
        using PciGuest guest = new(Device(1), _memory);
        NetDriver driver = new(_memory, guest);
        driver.Offer(3);
        first.Dispose();
        byte[] frame = [.. Enumerable.Repeat((byte)9, 100)];
        using VhostUserPeer second = Peer().Start();
        driver.Send(frame);
        Assert.Equal(frame, driver.Await()[NetDriver.HeaderBytes..]);
        Assert.Equal(15, guest.Status);
    }

    private VhostUserPeer Peer() => new(Socket, [])
    {
        ProtocolFeatures = VhostUserPeer.AllProtocolFeatures | (1 << 2) | (1 << 4), Loops = true,
    };

    private VhostUserNetDevice Device(int pairs) => new(
        new VhostUserOptions { Id = "_vu", Socket = Socket, QueueCount = 2 * pairs, QueueSize = 16 },
        new NetOptions { Id = "_vu", Mac = new PhysicalAddress(Mac), Mtu = 1400 },
        _memory.Guest,
        NullLogger.Instance);
}
