using System.Buffers.Binary;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Of pages that are sent again only what has changed goes.</summary>
public sealed class DeltaTests
{
    private const int Page = MigrationWire.PageBytes;

    [Fact]
    public void What_has_changed_makes_the_page_of_before_that_of_now()
    {
        var random = new Random(1);
        byte[] delta = new byte[PageDelta.MostBytes];
        int whole = 0;
        for (int n = 0; n < 2000; n++)
        {
            byte[] before = new byte[Page];
            random.NextBytes(before);
            byte[] now = [.. before];
            for (int changes = random.Next(n % 300); changes > 0; changes--)
            {
                int at = random.Next(Page);
                random.NextBytes(now.AsSpan(at, Math.Min(random.Next(20), Page - at)));
            }

            int bytes = PageDelta.TryWrite(before, now, delta);
            whole += bytes == 0 ? 1 : 0;
            if (bytes > 0)
            {
                Assert.Equal(bytes, PageDelta.Apply(delta, before));
                Assert.Equal(now, before);
            }
        }

        Assert.InRange(whole, 1, 1999);
    }

    [SkippableTheory]
    [InlineData(3 << 20, false)]
    [InlineData(3 << 20, true)]
    [InlineData(40 << 12, false)]
    [InlineData(1, false)]
    public void Whatever_is_written_between_the_rounds_arrives(int cache, bool compress)
    {
        Skip.If(compress && !Lz4.IsAvailable, "liblz4.so.1 is not installed");
        using Move move = Begin(cache, compress);
        move.Run();
        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal((MigrationPhase.Completed, null), (info.Phase, info.Error));
        Assert.InRange(info.Rounds, 4u, 20u);
        move.AssertMemoryArrived();
        if (cache > Page)
        {
            Assert.InRange(info.DeltaPages, 40ul, 2000ul);
            Assert.InRange(info.DeltaSavedBytes, info.DeltaPages * 3500, info.DeltaPages * 4200);
        }
    }

    [Theory]
    [InlineData(Fault.CutBefore)]
    [InlineData(Fault.CutInside)]
    [InlineData(Fault.CutAfter)]
    [InlineData(Fault.CorruptHeader)]
    [InlineData(Fault.CorruptEnd)]
    [InlineData(Fault.Delay)]
    [InlineData(Fault.Slow)]
    [InlineData(Fault.Duplicate)]
    [InlineData(Fault.Reorder)]
    [InlineData(Fault.Drop)]
    public void Disturbed_on_their_way_they_spoil_nothing(Fault fault)
    {
        using Move move = Begin(3 << 20);

        // The first round, of which there is nothing before, has as many messages whatever the guest writes.
        int first = 0;
        using (Move undisturbed = Begin(3 << 20))
        using (var listener = new Disturber(undisturbed.ProxyPath, undisturbed.TargetPath))
        {
            undisturbed.StartTarget();
            undisturbed.StartSource(undisturbed.ProxyPath);
            undisturbed.WaitForEnd();
            first = listener.FromSource.IndexOf(FrameType.Deltas);
        }

        using var between = new Disturber(move.ProxyPath, move.TargetPath) { Plan = (true, first, fault) };
        move.StartTarget();
        move.StartSource(move.ProxyPath);
        move.WaitForEnd();
        Assert.Equal(FrameType.Deltas, between.FromSource[first]);
        MigrationInfo end = move.SourceProgress.Info();
        if (fault is Fault.Delay or Fault.Slow)
        {
            Assert.Equal((MigrationPhase.Completed, FakeArrival.Side), (end.Phase, move.World.Running));
            move.AssertMemoryArrived();
        }
        else
        {
            Assert.Equal((MigrationPhase.Failed, GuestPlace.Here, FakeDeparture.Side), (end.Phase, end.Guest, move.World.Running));
            Assert.True(move.Arrival.IsDiscarded);
        }
    }

    /// <summary>
    /// What is remembered is expected to take what it took before, and all else goes whole: a guest that suddenly writes what it never wrote does not stand
    /// still for longer than it may.
    /// </summary>
    [Fact]
    public void Pages_that_are_not_remembered_are_expected_to_take_their_time()
    {
        const int Remembered = 512;
        const int New = 160;
        using var move = new Move { DeltaCacheBytes = 3 << 20 };
        var random = new Random(5);
        for (int page = 0; page < Remembered; page++)
        {
            random.NextBytes(move.Departure.Memory.GetSpan(Gpa(page), Page));
        }

        move.Departure.OnCollect = n =>
        {
            if (n > 3)
            {
                return;
            }

            for (int page = n < 3 ? 0 : Remembered; page < (n < 3 ? Remembered : Remembered + New); page++)
            {
                Span<byte> contents = move.Departure.Memory.GetSpan(Gpa(page), Page);
                if (n < 3)
                {
                    contents[8] ^= 1;
                }
                else
                {
                    random.NextBytes(contents);
                }

                move.Departure.Write(Gpa(page), contents[0]);
            }
        };
        move.Limits.DowntimeMs = 40;
        move.Limits.BandwidthBytesPerS = 8 << 20;
        var expected = new List<ulong>();
        move.OnRound = () => expected.Add(move.SourceProgress.Info().ExpectedDowntimeMs!.Value);
        move.Run();
        MigrationInfo end = move.SourceProgress.Info();
        Assert.Equal((MigrationPhase.Completed, 2ul * Remembered), (end.Phase, end.DeltaPages));
        move.AssertMemoryArrived();

        // Nothing is known yet of how little changes; then it is; then there is what was never written before: 640 KiB, through 8 MiB a second.
        Assert.InRange(expected[0], 200ul, 10_000ul);
        Assert.InRange(expected[1], 0ul, 20ul);
        Assert.InRange(expected[2], 60ul, expected[0] / 2);
        Assert.InRange(expected[^1], 0ul, 20ul);

        static ulong Gpa(int page) => page < 512 ? (ulong)page << 12 : 0x100_0000 + ((ulong)(page - 512) << 12);
    }

    [SkippableFact]
    public void Pages_that_come_late_come_whole()
    {
        Skip.If(Userfaultfd.WhyNot() is not null, Userfaultfd.WhyNot());
        using Move move = Begin(3 << 20, postcopy: true);
        move.OnRound = () => move.Limits.TimeoutS = move.SourceProgress.Info().Rounds >= 4 ? 0UL : 3600;
        move.Run();
        Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
        Assert.Contains("source migration-postcopy-started", move.PostcopyEvents);
        Assert.NotEqual(0UL, move.SourceProgress.Info().DeltaPages);
        move.AssertMemoryArrived();
    }

    [Fact]
    public void Through_several_connections_pages_go_whole()
    {
        using Move move = Begin(3 << 20, connections: 2);
        move.Run();
        Assert.Equal((MigrationPhase.Completed, 0UL), (move.SourceProgress.Phase, move.SourceProgress.Info().DeltaPages));
        move.AssertMemoryArrived();
    }

    [Theory]
    [InlineData("no RAM", "are not RAM of the guest")]
    [InlineData("no page", "are not RAM of the guest")]
    [InlineData("never came", "which has never come")]
    [InlineData("over the end", "has 16 bytes at offset 4088 of a page")]
    [InlineData("backwards", "has 8 bytes at offset 0 of a page, of which 16 have been passed")]
    [InlineData("nothing changed", "has 0 bytes at offset 8 of a page")]
    [InlineData("cut off", "cut off")]
    [InlineData("more runs", "cut off")]
    [InlineData("more pages", "describes 2 pages")]
    [InlineData("no pages", "describes 0 pages")]
    [InlineData("something behind it", "and has")]
    [InlineData("not agreed on", "message Deltas is out of place")]
    public void What_is_no_delta_is_refused(string what, string reason)
    {
        using var move = new Move();
        move.World.Stop(FakeDeparture.Side);
        move.StartTarget();
        using var source = new RawSource(move);
        source.Greet(what == "not agreed on" ? 0 : MigrationWire.FeatureDelta);
        source.Offer(move.Departure.Offer);
        Assert.Equal(FrameType.Accept, source.Read().Type);
        source.Writer.Write(FrameType.Pages, RawSource.Page(0x2000, 7));

        // A sound one before it, of a page that came as zeros and of one that came as a whole.
        source.Writer.Write(FrameType.Zeros, RawSource.Zeros(0x3000, 1));
        if (what != "not agreed on")
        {
            source.Writer.Write(FrameType.Deltas, [2, 0, 0, 0, .. Delta(0x3000, (16, 8)), .. Delta(0x2000, (0, 8), (4088, 8))]);
        }

        source.Writer.Write(FrameType.Deltas, what switch
        {
            "no RAM" => [1, 0, 0, 0, .. Delta(0x20_0000, (0, 8))],
            "no page" => [1, 0, 0, 0, .. Delta(0x2008, (0, 8))],
            "never came" => [1, 0, 0, 0, .. Delta(0x4000, (0, 8))],
            "over the end" => [1, 0, 0, 0, .. Delta(0x2000, (4088, 16))],
            "backwards" => [1, 0, 0, 0, .. Delta(0x2000, (8, 8), (0, 8))],
            "nothing changed" => [1, 0, 0, 0, .. Delta(0x2000, (8, 0))],
            "cut off" => [1, 0, 0, 0, .. BitConverter.GetBytes(0x2000UL), 1],
            "more runs" => [1, 0, 0, 0, .. BitConverter.GetBytes(0x2000UL), 2, 0, 0, 0, 1, 0, 9],
            "more pages" => [2, 0, 0, 0, .. Delta(0x2000, (0, 8))],
            "no pages" => [0, 0, 0, 0],
            "something behind it" => [1, 0, 0, 0, .. Delta(0x2000, (0, 8)), 1],
            _ => [1, 0, 0, 0, .. Delta(0x2000, (0, 8))],
        });
        (FrameType type, string text) = source.Read();
        Assert.Equal(FrameType.Failed, type);
        Assert.Contains(reason, text, StringComparison.Ordinal);
        source.Dispose();
        move.WaitForEnd();
        Assert.True(move.Arrival.IsDiscarded);
        if (what != "not agreed on")
        {
            Assert.Equal([0, 0xDD, 0xDD], [move.Arrival.Memory.GetSpan(0x3000, 1)[0], move.Arrival.Memory.GetSpan(0x3010, 1)[0], move.Arrival.Memory.GetSpan(0x2FF8, 1)[0]]);
        }
    }

    /// <summary>A target that has never heard of deltas is sent whole pages.</summary>
    [Fact]
    public void A_target_that_is_older_gets_whole_pages()
    {
        using Move move = Begin(3 << 20);
        using StreamListener listener = StreamListener.Bind(Move.Endpoint(move.ProxyPath));
        var types = new HashSet<FrameType>();
        bool isOffered = false;
        var target = new Thread(() =>
        {
            using var link = new RawLink(listener.Accept(-1)!);
            Assert.True(link.HearMagic());
            link.SayMagic();
            while (link.Hear())
            {
                (FrameType type, byte[] payload) = link.Heard;
                types.Add(type);
                switch (type)
                {
                    case FrameType.Hello:
                        MigrationHello hello = Cnvm.Hypervisor.State.Format.StateReader.Read<MigrationHello>(payload, MigrationHello.Describe);
                        isOffered = (hello.Features & MigrationWire.FeatureDelta) != 0;
                        link.Say(FrameType.Welcome, Cnvm.Hypervisor.State.Format.StateWriter.Write(new MigrationWelcome(1, 0, "old"), MigrationWelcome.Describe));
                        break;
                    case FrameType.Offer:
                        link.Say(FrameType.Accept);
                        break;
                    case FrameType.Round:
                        link.Say(FrameType.RoundDone, payload);
                        break;
                    case FrameType.State:
                        link.Say(FrameType.Ready);
                        break;
                    case FrameType.Run:
                        link.Say(FrameType.Running);
                        break;
                }
            }
        });
        target.Start();
        move.StartSource(move.ProxyPath);
        Assert.True(move.WaitForSource());
        Assert.True(target.Join(TimeSpan.FromSeconds(60)));
        Assert.True(isOffered);
        Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
        Assert.DoesNotContain(FrameType.Deltas, types);
        Assert.Contains(FrameType.Bye, types);
    }

    /// <summary>Round after round some pages change a little, some altogether, some become zeros, some are written with what they have.</summary>
    private static Move Begin(int cache, bool compress = false, bool postcopy = false, int connections = 1)
    {
        var move = new Move
        {
            DeltaCacheBytes = (ulong)cache, Compress = compress, Connections = connections, Postcopy = postcopy ? (int)PostcopyUse.AfterTimeout : 0,
        };
        MoveTests.Fill(move.Departure);
        var random = new Random(cache);
        move.Departure.OnCollect = n =>
        {
            for (ulong page = 0; page < 100 && n < 7; page++)
            {
                ulong gpa = page << 12;
                Span<byte> contents = move.Departure.Memory.GetSpan(gpa, Page);
                switch (random.Next(8))
                {
                    case 0:
                        random.NextBytes(contents);
                        break;
                    case 1:
                        contents.Clear();
                        break;
                    case 2:
                        break;
                    default:
                        contents[random.Next(Page)] ^= 1;
                        BinaryPrimitives.WriteInt32LittleEndian(contents, n);
                        break;
                }

                move.Departure.Write(gpa, contents[0]);
            }
        };
        move.Limits.DowntimeMs = 1;
        move.Limits.BandwidthBytesPerS = 64 << 20;
        return move;
    }

    private static byte[] Delta(ulong gpa, params (int Offset, int Length)[] runs) =>
    [
        .. BitConverter.GetBytes(gpa), (byte)runs.Length, 0,
        .. runs.SelectMany(r => new[] { (byte)r.Offset, (byte)(r.Offset >> 8), (byte)r.Length, (byte)0 }.Concat(Enumerable.Repeat((byte)0xDD, r.Length))),
    ];
}
