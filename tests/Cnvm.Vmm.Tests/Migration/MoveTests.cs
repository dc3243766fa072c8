using Cnvm.Linux;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A source and a target, undisturbed and with their own troubles; <see cref="FaultTests"/> disturbs them.</summary>
public sealed class MoveTests
{
    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void Memory_and_state_arrive_and_what_is_written_meanwhile_too(bool compress)
    {
        Skip.If(compress && !Lz4.IsAvailable, "liblz4.so.1 is not installed");
        using var move = new Move { Compress = compress };
        Fill(move.Departure);
        move.Departure.OnCollect = n =>
        {
            // A page becomes zeros, another one something else, and the last collection finds something too.
            move.Departure.Memory.GetSpan(0x3000, 4096).Clear();
            move.Departure.Write(0x3000, 0);
            move.Departure.Write(0x100_5000, (byte)n);
            move.Departure.Write(0x1F_F000, (byte)(n + 1));
        };
        move.Limits.DowntimeMs = 10_000;

        move.Run();

        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal((MigrationPhase.Completed, GuestPlace.There), (info.Phase, info.Guest));
        Assert.Equal((MigrationPhase.Completed, GuestPlace.Here), (move.TargetProgress.Info().Phase, move.TargetProgress.Info().Guest));
        Assert.Equal(FakeArrival.Side, move.World.Running);
        Assert.True(move.Arrival.Resumed);
        Assert.False(move.Departure.IsTracking);
        Assert.False(move.Target.MayBeAsked);
        move.AssertMemoryArrived();
        Assert.Equal(3u, info.Rounds);
        Assert.Equal(compress ? "lz4" : "none", info.Compression);
        Assert.Equal((ulong)0x30_0000, info.MemoryBytes);
        Assert.Equal(1ul, info.DowntimeMs);

        // Half of the memory is zeros, and noise does not compress.
        Assert.InRange(info.DataPages, 256u, 400u);
        Assert.InRange(info.TransferredBytes, 200ul * 4096, 0x30_0000ul);
    }

    [Fact]
    public void A_paused_guest_stays_paused_and_moves_in_one_round()
    {
        using var move = new Move();
        move.Departure.Dispose();
        move.Departure = new FakeDeparture(move.World) { IsPaused = true };
        Fill(move.Departure);
        move.Run();
        Assert.Equal(1u, move.SourceProgress.Info().Rounds);
        Assert.False(move.Arrival.Resumed);
        move.AssertMemoryArrived();
    }

    [Fact]
    public void Rounds_go_on_until_what_is_left_fits_the_downtime()
    {
        using var move = new Move();
        Fill(move.Departure);
        move.Limits.DowntimeMs = 1;
        move.Limits.BandwidthBytesPerS = 64 << 20;
        move.Departure.OnCollect = n =>
        {
            // 128 pages at 64 MiB/s take 8 ms; the guest calms down after a while.
            for (ulong page = 0; n < 5 && page < 128; page++)
            {
                move.Departure.Write(page << 12, (byte)n);
            }
        };
        move.Run();

        // The fifth finds nothing, one more follows the flush of the disks, and one the stop.
        Assert.Equal(7u, move.SourceProgress.Info().Rounds);
        move.AssertMemoryArrived();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_guest_that_never_calms_down_stays_or_moves_when_the_time_is_over(bool finish)
    {
        using var move = new Move { FinishAfterTimeout = finish };
        Fill(move.Departure);
        move.Limits.DowntimeMs = 1;
        move.Limits.TimeoutS = 1;
        move.Departure.OnCollect = n =>
        {
            for (ulong page = 0; page < 512; page++)
            {
                move.Departure.Write(page << 12, (byte)n);
            }
        };
        move.Limits.BandwidthBytesPerS = 32 << 20;

        move.Run();

        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal(finish ? MigrationPhase.Completed : MigrationPhase.Failed, info.Phase);
        Assert.Equal(finish ? FakeArrival.Side : FakeDeparture.Side, move.World.Running);
        Assert.InRange(info.ElapsedMs, 1000ul, 60_000ul);
        if (finish)
        {
            move.AssertMemoryArrived();
        }
        else
        {
            Assert.Contains("longer than 1 s", info.Error, StringComparison.Ordinal);
            Assert.Contains("longer than 1 s", move.TargetProgress.Info().Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_guest_that_writes_too_fast_is_held_back_until_it_fits()
    {
        using var move = new Move { AutoConverge = true };
        Fill(move.Departure);
        move.Limits.DowntimeMs = 2;
        move.Limits.BandwidthBytesPerS = 64 << 20;
        move.Departure.OnCollect = n =>
        {
            // It writes all it can in the time that it is left.
            for (ulong page = 0; page < 512 * (ulong)(100 - move.Departure.Throttled) / 100; page++)
            {
                move.Departure.Write(page << 12, (byte)n);
            }
        };
        move.Run();
        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal(MigrationPhase.Completed, info.Phase);
        Assert.InRange(info.ThrottlePercent, 20u, 99u);
        Assert.Equal((int)info.ThrottlePercent, move.Departure.MostThrottled);
        Assert.Equal(0, move.Departure.Throttled);
        move.AssertMemoryArrived();
    }

    [Fact]
    public void A_bandwidth_limit_holds()
    {
        using var move = new Move();
        Fill(move.Departure);
        move.Limits.BandwidthBytesPerS = 1 << 20;
        move.Run();
        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal(MigrationPhase.Completed, info.Phase);

        // A MiB and a half, of which the first message goes at once.
        Assert.InRange(info.ElapsedMs, 300ul, 60_000ul);
    }

    [Fact]
    public void Cancelled_at_the_source_the_guest_stays()
    {
        using var move = new Move();
        Fill(move.Departure);
        move.OnRound = () => move.SourceStop.Ask("somebody wants it back");
        move.Run();
        Assert.Equal(MigrationPhase.Cancelled, move.SourceProgress.Phase);
        Assert.Equal(FakeDeparture.Side, move.World.Running);
        Assert.Contains("somebody wants it back", move.TargetProgress.Info().Error, StringComparison.Ordinal);
        Assert.True(move.Arrival.IsDiscarded);
    }

    [Fact]
    public void Cancelled_at_the_target_the_guest_stays()
    {
        using var move = new Move();
        Fill(move.Departure);
        move.OnRound = () => Assert.True(move.Target.TryCancel("no room after all"));
        move.Run();
        Assert.Equal(MigrationPhase.Failed, move.SourceProgress.Phase);
        Assert.Equal(MigrationPhase.Cancelled, move.TargetProgress.Phase);
        Assert.Equal("no room after all", move.TargetProgress.Info().Error);
        Assert.Equal(FakeDeparture.Side, move.World.Running);
    }

    [Fact]
    public void A_target_that_waits_in_vain_can_be_cancelled()
    {
        using var move = new Move();
        move.StartTarget();
        Assert.True(move.Target.TryCancel("nobody came"));
        move.WaitForEnd();
        Assert.Equal(MigrationPhase.Cancelled, move.TargetProgress.Phase);
    }

    [Theory]
    [InlineData("prepare")]
    [InlineData("restore")]
    [InlineData("run")]
    public void What_the_target_cannot_do_is_said_and_the_guest_goes_on(string step)
    {
        using var move = new Move();
        Fill(move.Departure);
        var failure = new MigrationException("CPU feature avx2: the guest was shown it, the host lacks it");
        move.Arrival.PrepareFailure = step == "prepare" ? failure : null;
        move.Arrival.RestoreFailure = step == "restore" ? failure : null;
        move.Arrival.RunFailure = step == "run" ? failure : null;

        move.Run();

        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal((MigrationPhase.Failed, GuestPlace.Here), (info.Phase, info.Guest));
        Assert.Equal("the target refuses: " + failure.Message, info.Error);
        Assert.Equal((MigrationPhase.Failed, GuestPlace.There), (move.TargetProgress.Info().Phase, move.TargetProgress.Info().Guest));
        Assert.Equal(FakeDeparture.Side, move.World.Running);
        Assert.True(move.Arrival.IsDiscarded);

        // Before the first page: nothing was sent, and the guest was not even stopped.
        Assert.Equal(step == "prepare" ? 0u : 3u, info.Rounds);
    }

    [Fact]
    public void A_guest_that_ends_in_the_last_moment_does_not_move()
    {
        using var move = new Move();
        Fill(move.Departure);
        move.Departure.StopFailure = new MigrationException("the guest has just ended");
        move.Run();
        Assert.Equal(MigrationPhase.Failed, move.SourceProgress.Phase);
        Assert.Contains("the source gives up: the guest has just ended", move.TargetProgress.Info().Error, StringComparison.Ordinal);
        Assert.Null(move.Arrival.Resumed);
    }

    [Fact]
    public void Without_a_target_the_guest_stays()
    {
        using var move = new Move();
        move.StartSource(move.ProxyPath);
        move.WaitForEnd();
        Assert.Equal(MigrationPhase.Failed, move.SourceProgress.Phase);
        Assert.StartsWith("the target cannot be reached", move.SourceProgress.Info().Error, StringComparison.Ordinal);
        Assert.Equal(FakeDeparture.Side, move.World.Running);
    }

    [Fact]
    public void Strangers_at_the_port_are_turned_away_and_the_guest_comes_all_the_same()
    {
        using var move = new Move();
        Fill(move.Departure);
        move.StartTarget();
        foreach (byte[] noise in new[] { "GET / HTTP/1.0\r\n\r\n"u8.ToArray(), [], "CNVMMIGR"u8.ToArray(), [.. "CNVMMIGR"u8, .. new byte[100]] })
        {
            using SocketStream stranger = SocketStream.Connect(Move.Endpoint(move.TargetPath), 1000, static () => false);
            stranger.Write(noise);
            stranger.CloseWriting();
            byte[] answer = new byte[100];
            while (stranger.Read(answer) > 0)
            {
                Assert.Equal(0, answer[99]);
            }
        }

        move.StartSource();
        move.WaitForEnd();
        Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
        move.AssertMemoryArrived();
    }

    /// <summary>A stranger that sends a byte now and then is not silent, and yet it may not keep the port to itself.</summary>
    [Fact]
    public void A_stranger_that_never_comes_to_an_end_is_turned_away()
    {
        using var move = new Move { Patience = TimeSpan.FromSeconds(1) };
        move.StartTarget();
        using SocketStream stranger = SocketStream.Connect(Move.Endpoint(move.TargetPath), 1000, static () => false);
        byte[] hello = new byte[400];
        MigrationWire.Magic.CopyTo(hello);
        hello[MigrationWire.Magic.Length] = (byte)FrameType.Hello;
        hello[MigrationWire.Magic.Length + 5] = 1;

        int sent = 0;
        Exception? refusal = Record.Exception(() =>
        {
            for (; sent < hello.Length; sent++)
            {
                stranger.Write(hello.AsSpan(sent, 1));
                Thread.Sleep(50);
            }
        });

        Assert.IsAssignableFrom<IOException>(refusal);
        Assert.InRange(sent, MigrationWire.Magic.Length, hello.Length - 1);
        move.Target.TryCancel("the test ends");
        move.WaitForEnd();
    }

    [Fact]
    public void Whatever_the_memory_looks_like_it_arrives()
    {
        var random = new Random(7);
        for (int i = 0; i < 20; i++)
        {
            using var move = new Move { Compress = i % 2 == 0 && Lz4.IsAvailable };
            move.Departure.Dispose();
            move.Departure = new FakeDeparture(
                move.World, [new RamPiece(0, 0x1000), new RamPiece(0x1000, 0x3F000), new RamPiece(0x8_0000, (ulong)random.Next(1, 700) << 12)]);
            int density = random.Next(1, 6);
            foreach (Cnvm.Hypervisor.Memory.RamRegion r in move.Departure.Memory.Regions)
            {
                for (ulong gpa = r.Gpa; gpa < r.End; gpa += 4096)
                {
                    if (random.Next(density) == 0)
                    {
                        Span<byte> page = move.Departure.Memory.GetSpan(gpa, 4096);
                        random.NextBytes(page[..random.Next(1, 4097)]);
                    }
                }
            }

            move.Departure.OnCollect = _ =>
            {
                for (int n = random.Next(100); n > 0; n--)
                {
                    move.Departure.Write(0x8_0000, (byte)random.Next(256));
                    move.Departure.Write((ulong)random.Next(0x40) << 12, (byte)random.Next(256));
                }
            };
            move.Run();
            Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
            move.AssertMemoryArrived();
        }
    }

    /// <summary>Noise in every other page.</summary>
    internal static void Fill(FakeDeparture guest)
    {
        var random = new Random(1);
        foreach (Cnvm.Hypervisor.Memory.RamRegion r in guest.Memory.Regions)
        {
            for (ulong gpa = r.Gpa; gpa < r.End; gpa += 8192)
            {
                random.NextBytes(guest.Memory.GetSpan(gpa, 4096));
            }
        }
    }
}
