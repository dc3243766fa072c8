using System.Buffers.Binary;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Pages go through several connections at once.</summary>
public sealed class ConnectionsTests
{
    private static readonly byte[] Other = new byte[MigrationWire.SessionBytes];

    [SkippableTheory]
    [InlineData(2, false)]
    [InlineData(4, true)]
    [InlineData(7, false)]
    public void Whatever_is_written_between_the_rounds_arrives(int connections, bool compress)
    {
        Skip.If(compress && !Lz4.IsAvailable, "liblz4.so.1 is not installed");
        using var move = new Move { Connections = connections, Compress = compress };
        Spread(move);
        var random = new Random(connections);
        move.Departure.OnCollect = n =>
        {
            // The same pages round after round: an earlier round's copy must not come last. Some become zeros.
            for (ulong gpa = 0; n < 6 && gpa < move.Departure.Memory.Regions[0].Size; gpa += 16 << 12)
            {
                Span<byte> page = move.Departure.Memory.GetSpan(gpa, 4096);
                page.Fill((byte)(random.Next(3) == 0 ? 0 : n));
                move.Departure.Write(gpa, page[0]);
            }
        };
        move.Limits.DowntimeMs = 1;
        move.Limits.BandwidthBytesPerS = 2UL << 30;

        move.Run();

        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal((MigrationPhase.Completed, null), (info.Phase, info.Error));
        Assert.Equal(connections, move.SourceLinks.Count);
        Assert.InRange(info.Rounds, 3u, 20u);
        move.AssertMemoryArrived();
        Assert.InRange(info.TransferredBytes, info.DataPages, (info.DataPages * 4200) + 100_000);
    }

    [Fact]
    public void One_broken_connection_ends_it_and_the_guest_goes_on()
    {
        for (int broken = 1; broken < 4; broken += 2)
        {
            using var move = new Move { Connections = 4, Patience = TimeSpan.FromSeconds(10) };
            Spread(move);
            move.Departure.OnCollect = n => move.Departure.Write(0x3000, (byte)n);
            move.OnRound = () => move.SourceLinks[broken].Abort();
            move.Run();
            Assert.Equal((MigrationPhase.Failed, GuestPlace.Here), (move.SourceProgress.Info().Phase, move.SourceProgress.Info().Guest));
            Assert.NotEmpty(move.SourceProgress.Info().Error!);
            Assert.Equal(MigrationPhase.Failed, move.TargetProgress.Phase);
            Assert.Equal(FakeDeparture.Side, move.World.Running);
            Assert.True(move.Arrival.IsDiscarded);
        }
    }

    [Fact]
    public void Strangers_among_the_connections_are_turned_away()
    {
        using var move = new Move { Connections = 3 };
        MoveTests.Fill(move.Departure);
        RawSource? stranger = null;
        SocketStream? noise = null;
        move.Arrival.OnPrepared = () =>
        {
            // They knock before the source does.
            noise = SocketStream.Connect(Move.Endpoint(move.TargetPath), 10_000, static () => false);
            noise.Write("GET / HTTP/1.0\r\n\r\n"u8);
            stranger = new RawSource(move);
            stranger.Join(Other);
            stranger.Writer.Write(FrameType.Pages, RawSource.Page(0x2000, 99));
        };
        move.Run();
        using (noise)
        using (stranger)
        {
            Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
            (FrameType type, string text) = stranger!.Read(isFirst: true);
            Assert.Equal(FrameType.Failed, type);
            Assert.Contains("another guest", text, StringComparison.Ordinal);
            Assert.Equal(3, move.SourceLinks.Count);
            move.AssertMemoryArrived();
        }
    }

    [Fact]
    public void Given_up_between_its_connections_the_source_keeps_the_guest()
    {
        using var move = new Move { Connections = 3 };
        MoveTests.Fill(move.Departure);
        move.OnConnected = () =>
        {
            if (move.SourceLinks.Count == 2)
            {
                move.SourceStop.Ask("somebody wants it back");
            }
        };
        move.Run();
        Assert.Equal(MigrationPhase.Cancelled, move.SourceProgress.Phase);
        Assert.Contains("somebody wants it back", move.TargetProgress.Info().Error, StringComparison.Ordinal);
        Assert.InRange(move.TargetProgress.Info().ElapsedMs, 0ul, 10_000ul);
    }

    /// <summary>More than are heard at once, each for as long as it likes.</summary>
    [Fact]
    public void Those_who_say_nothing_keep_nobody_waiting()
    {
        using var move = new Move { Connections = 3, Patience = TimeSpan.FromSeconds(100) };
        MoveTests.Fill(move.Departure);
        List<SocketStream> silent = [];
        move.Arrival.OnPrepared = () =>
        {
            for (int i = 0; i < 14; i++)
            {
                silent.Add(SocketStream.Connect(Move.Endpoint(move.TargetPath), 10_000, static () => false));
            }
        };
        move.OnConnected = () =>
        {
            for (int i = 0; i < 8 && move.SourceLinks.Count > 1; i++)
            {
                silent.Add(SocketStream.Connect(Move.Endpoint(move.TargetPath), 10_000, static () => false));
            }
        };
        move.Run();
        Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
        Assert.InRange(move.SourceProgress.Info().ElapsedMs, 0ul, 50_000ul);
        move.AssertMemoryArrived();
        silent.ForEach(s => s.Dispose());
    }

    [Fact]
    public void A_question_of_another_migration_is_answered()
    {
        using var move = new Move();
        move.World.Stop(FakeDeparture.Side);
        move.Decisions.Open(Other);
        move.Decisions.Close(Other, isRunning: true);
        using RawSource first = Begin(move, out RawSource asking);
        using (asking)
        {
            var question = new MigrationHello
            {
                Lowest = MigrationWire.Version, Highest = MigrationWire.Version, Features = 0, Session = Other, IsQuestion = true, Producer = "raw",
            };
            asking.Writer.Write(FrameType.Hello, StateWriter.Write(question, MigrationHello.Describe));
            Assert.Equal((FrameType.Answer, (byte)HandOverDecision.Running), asking.ReadByte());
        }
    }

    [Fact]
    public void Given_up_while_the_target_does_not_answer_a_connection_it_ends_at_once()
    {
        using var move = new Move { Connections = 2, Patience = TimeSpan.FromSeconds(100) };
        MoveTests.Fill(move.Departure);
        using StreamListener mute = StreamListener.Bind(Move.Endpoint(move.ProxyPath));
        using Timer cancels = new(_ => move.SourceStop.Ask("somebody wants it back"));
        move.OnConnected = () =>
        {
            if (move.SourceLinks.Count == 1)
            {
                move.SourceGoesTo = move.ProxyPath;
                return;
            }

            cancels.Change(500, Timeout.Infinite);
        };
        move.Run();
        Assert.Equal((MigrationPhase.Cancelled, GuestPlace.Here), (move.SourceProgress.Info().Phase, move.SourceProgress.Info().Guest));
        Assert.InRange(move.SourceProgress.Info().ElapsedMs, 0ul, 50_000ul);
    }

    /// <summary>With a limited bandwidth it takes long until one connection has its turn.</summary>
    [Fact]
    public void One_connection_may_be_silent_as_long_as_another_is_not()
    {
        using var move = new Move { Patience = TimeSpan.FromSeconds(3) };
        move.World.Stop(FakeDeparture.Side);
        using RawSource first = Begin(move, out RawSource second);
        using (second)
        {
            second.Join(Move.Session);
            Assert.Equal(FrameType.Joined, second.Read(isFirst: true).Type);
            for (int i = 0; i < 9; i++)
            {
                Thread.Sleep(500);
                second.Writer.Write(FrameType.Pages, RawSource.Page(0x5000, (byte)i));
            }

            second.Writer.Write(FrameType.Round, RawSource.Number(1));
            first.Writer.Write(FrameType.Round, RawSource.Number(1));
            Assert.Equal(FrameType.RoundDone, first.Read().Type);
            (FrameType type, string text) = first.Read();
            Assert.Equal(FrameType.Failed, type);
            Assert.Contains("none of the connections has brought anything for 3 s", text, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_check_needs_one_connection_only()
    {
        using var move = new Move { Connections = 4, OnlyChecks = true };
        move.Run();
        Assert.Equal(MigrationPhase.Checked, move.SourceProgress.Phase);
        Assert.Single(move.SourceLinks);
    }

    /// <summary>A round is over when all connections say so, and only then does the target say it.</summary>
    [Fact]
    public void A_round_ends_on_all_connections()
    {
        using var move = new Move();
        move.World.Stop(FakeDeparture.Side);
        using RawSource first = Begin(move, out RawSource second);
        using (second)
        {
            second.Join(Move.Session);
            Assert.Equal(FrameType.Joined, second.Read(isFirst: true).Type);
            first.Writer.Write(FrameType.Zeros, RawSource.Zeros(0, 512));
            first.Writer.Write(FrameType.Zeros, RawSource.Zeros(0x100_0000, 256));
            first.Writer.Write(FrameType.Round, RawSource.Number(1));
            first.AssertSilence();
            second.Writer.Write(FrameType.Pages, RawSource.Page(0x5000, 55));
            first.AssertSilence();
            second.Writer.Write(FrameType.Round, RawSource.Number(1));
            Assert.Equal(FrameType.RoundDone, first.Read().Type);
            Assert.Equal(55, move.Arrival.Memory.GetSpan(0x5000, 1)[0]);
            byte[] state = new byte[100];
            BinaryPrimitives.WriteUInt64LittleEndian(state, 1);
            first.Writer.Write(FrameType.State, state);
            Assert.Equal(FrameType.Ready, first.Read().Type);
            first.Writer.Write(FrameType.Run, [1]);
            Assert.Equal(FrameType.Running, first.Read().Type);
            first.Writer.Write(FrameType.Bye);
            move.WaitForEnd();
            Assert.Equal(FakeArrival.Side, move.World.Running);
        }
    }

    [Theory]
    [InlineData("pages elsewhere", "are not RAM of the guest")]
    [InlineData("a message for the first", "message State is out of place")]
    [InlineData("another round", "round 2 ends where round 1 should")]
    [InlineData("nothing", "closed the connection")]
    public void What_a_further_connection_must_not_say_ends_it(string what, string reason)
    {
        using var move = new Move();
        move.World.Stop(FakeDeparture.Side);
        using RawSource first = Begin(move, out RawSource second);
        using (second)
        {
            second.Join(Move.Session);
            Assert.Equal(FrameType.Joined, second.Read(isFirst: true).Type);
            switch (what)
            {
                case "pages elsewhere":
                    second.Writer.Write(FrameType.Pages, RawSource.Page(0x80_0000, 1));
                    break;
                case "a message for the first":
                    second.Writer.Write(FrameType.State, new byte[100]);
                    break;
                case "another round":
                    second.Writer.Write(FrameType.Round, RawSource.Number(2));
                    break;
                default:
                    second.Dispose();
                    break;
            }

            first.Writer.Write(FrameType.Round, RawSource.Number(1));
            (FrameType type, string text) = first.Read();
            Assert.Equal(FrameType.Failed, type);
            Assert.Contains(reason, text, StringComparison.Ordinal);
            first.Dispose();
            move.WaitForEnd();
            Assert.True(move.Arrival.IsDiscarded);
        }
    }

    [Fact]
    public void A_source_that_goes_on_without_its_connections_is_refused()
    {
        using var move = new Move();
        move.World.Stop(FakeDeparture.Side);
        using RawSource first = Begin(move, out RawSource second);
        second.Dispose();
        first.Writer.Write(FrameType.Round, RawSource.Number(1));
        Assert.Contains("message Round is out of place", first.Read().Text, StringComparison.Ordinal);
        first.Dispose();
        move.WaitForEnd();
        Assert.True(move.Arrival.IsDiscarded);
    }

    /// <summary>A target that waits for the second of two connections, which is there and has not said anything.</summary>
    private static RawSource Begin(Move move, out RawSource second)
    {
        move.StartTarget();
        var first = new RawSource(move);
        first.Greet(MigrationWire.FeatureConnections);
        first.Offer(move.Departure.Offer with { Connections = 2 });
        Assert.Equal(FrameType.Accept, first.Read().Type);
        second = new RawSource(move);
        return first;
    }

    /// <summary>64 MiB, so that every connection has something to do.</summary>
    private static void Spread(Move move)
    {
        move.Departure.Dispose();
        move.Departure = new FakeDeparture(move.World, [new RamPiece(0, 64 << 20)]);
        var random = new Random(3);
        RamRegion region = move.Departure.Memory.Regions[0];
        for (ulong gpa = 0; gpa < region.Size; gpa += 8 << 12)
        {
            random.NextBytes(move.Departure.Memory.GetSpan(gpa, 4096));
        }
    }
}
