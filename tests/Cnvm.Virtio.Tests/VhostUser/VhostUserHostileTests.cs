using System.Diagnostics;
using Cnvm.Fuzz;
using Cnvm.Linux;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.VhostUser;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.VhostUser;

/// <summary>Back ends that answer wrongly, late or not at all cost the connection to them, and a limited time.</summary>
public sealed class VhostUserHostileTests : IDisposable
{
    private const int LimitMilliseconds = 400;

    // Machines under load are slow; a wait without limit would be for ever.
    private const int PatienceMilliseconds = 20_000;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-vhost-").FullName;
    private readonly TestMemory _memory = new(sharedRegions: 1);
    private readonly byte[] _disk = new byte[64 * 1024];

    private string Socket => Path.Combine(_folder, "s");

    public void Dispose()
    {
        _memory.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    public static TheoryData<uint, byte[]> Wrong
    {
        get
        {
            TheoryData<uint, byte[]> all = [];

            // Messages of the greeting: features, protocol features, queues, memory, configuration.
            foreach (uint request in (uint[])[1, 15, 17, 5, 24])
            {
                all.Add(request, []);
                all.Add(request, VhostUserPeer.Message(request + 1, 8, new byte[8]));
                all.Add(request, VhostUserPeer.Message(request, 8, new byte[8], flags: 1));
                all.Add(request, VhostUserPeer.Message(request, 8, new byte[8], flags: 6));
                all.Add(request, VhostUserPeer.Message(request, 7, new byte[7]));
                all.Add(request, VhostUserPeer.Message(request, uint.MaxValue, new byte[64]));
                all.Add(request, VhostUserPeer.Message(request, 0, []));
                all.Add(request, VhostUserPeer.Message(request, 8, new byte[3]));
                all.Add(request, [1, 2, 3]);
            }

            // A refusal.
            all.Add(5, VhostUserPeer.Message(5, 8, [1, 0, 0, 0, 0, 0, 0, 0]));
            return all;
        }
    }

    [Theory]
    [MemberData(nameof(Wrong))]
    public void A_wrong_greeting_is_refused_in_time(uint request, byte[] answer)
    {
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk) { Misbehave = r => r == request ? answer : null }.Start();
        Stopwatch time = Stopwatch.StartNew();
        Assert.Throws<VhostUserException>(() => Device(limit: LimitMilliseconds / 4));
        Assert.InRange(time.ElapsedMilliseconds, 0, PatienceMilliseconds);
    }

    [Fact]
    public void Nobody_there_descriptors_that_were_not_asked_for_and_too_few_queues_are_refused()
    {
        Assert.Contains("nobody serves", Assert.Throws<VhostUserException>(() => Device()).Message, StringComparison.Ordinal);
        using (VhostUserPeer peer = new VhostUserPeer(Socket, _disk) { Extra = 0 }.Start())
        {
            Assert.Contains("descriptors", Assert.Throws<VhostUserException>(() => Device()).Message, StringComparison.Ordinal);
        }

        using (VhostUserPeer peer = new VhostUserPeer(Socket, _disk) { Queues = 1 }.Start())
        {
            Assert.Contains("serves 1 queues", Assert.Throws<VhostUserException>(() => Device(2)).Message, StringComparison.Ordinal);
        }

        using (VhostUserPeer peer = new VhostUserPeer(Socket, _disk) { Features = 1UL << 30 }.Start())
        {
            Assert.Contains("VERSION_1", Assert.Throws<VhostUserException>(() => Device()).Message, StringComparison.Ordinal);
        }
    }

    /// <summary>Messages that set a driver up, run and stop its queue: silence, nonsense, or the end of the connection at each.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(10)]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    [InlineData(18)]
    [InlineData(31)]
    [InlineData(32)]
    public void A_back_end_that_fails_later_is_given_up_and_the_machine_goes_on(uint request)
    {
        foreach (int way in (int[])[0, 1, 2])
        {
            using VhostUserPeer peer = new VhostUserPeer(Socket, _disk)
            {
                Misbehave = r => r != request ? null : way == 0 ? [] : way == 1 ? VhostUserPeer.Message(r, 0xffff_0000, new byte[100]) : null,
                HangUpAt = way == 2 ? request : 0,
            }.Start();
            using PciGuest guest = new(Device(), _memory);
            Stopwatch time = Stopwatch.StartNew();
            WriteAndSave(guest);
            guest.Function.Pause();
            guest.Status = 0;
            Assert.Equal(0, guest.Status);
            Assert.InRange(time.ElapsedMilliseconds, 0, PatienceMilliseconds);
            Assert.Contains(request, peer.Requests);
        }
    }

    [Fact]
    public void A_ring_that_cannot_be_where_it_is_said_to_be_costs_the_connection()
    {
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start();
        using PciGuest guest = new(Device(), _memory);
        BlockDriver driver = new(_memory, guest);
        Assert.Equal(0, driver.Read(0, 512));
        peer.Rings.Base = 0x8000;
        guest.Function.Pause();
        Assert.Equal(1, guest.Function.Save().Transport.Queues[0].NextAvail);
        Assert.False(((VhostUserDevice)guest.Function.Device).Counters.IsConnected);
        peer.Rings.Base = 0x1_0001;
        guest.Function.Resume();
        guest.Function.Pause();
    }

    [Fact]
    public void One_that_never_finishes_does_not_hold_up_a_pause_and_is_not_saved()
    {
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start();
        using PciGuest guest = new(Device(), _memory);
        BlockDriver driver = new(_memory, guest);
        Assert.Equal(0, driver.Read(0, 512));
        peer.Rings.Holds = true;
        driver.Submit(0, 0, Piece.Out(BlockDriver.Data, 512));
        driver.Queue.Publish();
        guest.Notify(0);
        Stopwatch time = Stopwatch.StartNew();
        guest.Function.Pause();
        Assert.InRange(time.ElapsedMilliseconds, 0, PatienceMilliseconds);
        Assert.Contains("not finished", guest.Function.Device.SaveObstacle, StringComparison.Ordinal);
    }

    [Fact]
    public void A_doorbell_that_was_filled_and_made_to_block_holds_nobody_up()
    {
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start();
        peer.Rings.Jams = true;
        using PciGuest guest = new(Device(), _memory);
        Thread thread = new(() =>
        {
            BlockDriver driver = new(_memory, guest);
            driver.Submit(0, 0, Piece.Out(BlockDriver.Data, 512));
            driver.Queue.Publish();
            guest.Notify(0);
            guest.Notify(0);
            guest.Function.Pause();
            guest.Function.Resume();
            guest.Function.Pause();
        })
        {
            IsBackground = true,
        };
        thread.Start();
        Assert.True(thread.Join(PatienceMilliseconds));
    }

    [Fact]
    public void Only_memory_is_kept_for_requests_in_flight()
    {
        using FileDescriptor file = new(Libc.open("/dev/null", Libc.O_RDWR, 0));
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start();
        peer.Rings.Inflight = file;
        using PciGuest guest = new(Device(), _memory);
        _ = new BlockDriver(_memory, guest);
        Assert.True(SpinWait.SpinUntil(() => peer.Requests.Count(r => r == 31) > 1, PatienceMilliseconds));
        Assert.Null(peer.Rings.InflightInode);
        Assert.False(((VhostUserDevice)guest.Function.Device).Counters.IsConnected);
    }

    [Fact]
    public void One_that_answers_late_when_it_comes_back_holds_up_nobody()
    {
        VhostUserPeer first = new VhostUserPeer(Socket, _disk).Start();
        using PciGuest guest = new(Device(limit: 3 * PatienceMilliseconds), _memory);
        BlockDriver driver = new(_memory, guest);
        Assert.Equal(0, driver.Read(0, 512));
        first.Dispose();
        using VhostUserPeer second = new VhostUserPeer(Socket, _disk) { Misbehave = r => r == 1 ? [] : null }.Start();
        Assert.True(SpinWait.SpinUntil(() => second.Requests.Contains(1U), PatienceMilliseconds));
        Stopwatch time = Stopwatch.StartNew();
        guest.Function.Pause();
        guest.Function.Resume();
        guest.Status = 0;
        Assert.InRange(time.ElapsedMilliseconds, 0, PatienceMilliseconds);
    }

    [Fact]
    public void One_that_speaks_without_being_asked_is_given_up()
    {
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start();
        using VhostUserBlockDevice device = Device();
        ulong before = device.Counters.Reconnects;
        peer.Speak();
        Assert.True(SpinWait.SpinUntil(() => device.Counters.Reconnects > before, PatienceMilliseconds));
    }

    [Fact]
    public void Answers_of_noise_cost_the_connection_at_most() => SeededRuns.Repeat(15, seed =>
    {
        // The peer's thread alone has it once the device is made.
        Random random = new(seed);
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk) { Misbehave = r => random.Next(8) == 0 ? Answer(random, r) : null }.Start();
        VhostUserBlockDevice device;
        try
        {
            device = Device(limit: LimitMilliseconds / 4);
        }
        catch (VhostUserException)
        {
            return;
        }

        using PciGuest guest = new(device, _memory);
        Stopwatch time = Stopwatch.StartNew();
        WriteAndSave(guest);
        guest.Status = 0;
        Assert.Equal(0, guest.Status);
        Assert.InRange(time.ElapsedMilliseconds, 0, PatienceMilliseconds);
    });

    /// <summary>What asks a back end for nearly everything: a request, a pause, a saved state.</summary>
    private void WriteAndSave(PciGuest guest)
    {
        BlockDriver driver = new(_memory, guest);
        driver.Submit(0, 0, Piece.Out(BlockDriver.Data, 512));
        driver.Queue.Publish();
        guest.Notify(0);
        guest.Function.Pause();
        _ = guest.Function.Save();
        guest.Function.Resume();
    }

    private static byte[] Answer(Random random, uint request)
    {
        byte[] payload = new byte[random.Next(4) == 0 ? random.Next(300) : 8];
        random.NextBytes(payload);
        uint claimed = random.Next(4) == 0 ? (uint)random.Next() : (uint)payload.Length;
        byte[] message = VhostUserPeer.Message(random.Next(6) == 0 ? request + 1 : request, claimed, payload, random.Next(6) == 0 ? (uint)random.Next(16) : 5);
        return random.Next(6) switch
        {
            0 => [],
            1 => message[..random.Next(message.Length)],
            2 => [.. message, .. message],
            _ => message,
        };
    }

    private VhostUserBlockDevice Device(int queues = 1, int limit = LimitMilliseconds) => new(
        new VhostUserOptions
        {
            Id = "_vu", Socket = Socket, QueueCount = queues, QueueSize = 16, ConnectLimit = TimeSpan.FromMilliseconds(limit),
            AnswerLimit = TimeSpan.FromMilliseconds(limit), FinishLimit = TimeSpan.FromMilliseconds(limit),
        },
        _memory.Guest,
        NullLogger.Instance);
}
