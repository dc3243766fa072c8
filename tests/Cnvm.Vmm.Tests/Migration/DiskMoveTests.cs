using System.Diagnostics;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Disks that move along with their guest; <see cref="FaultTests"/> disturbs every message of theirs.</summary>
public sealed class DiskMoveTests
{
    private const int Block = 64 << 10;

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void Disks_arrive_with_what_is_written_meanwhile_and_holes_stay_holes(bool compress)
    {
        Skip.If(compress && !Lz4.IsAvailable, "liblz4.so.1 is not installed");
        using var move = new Move { Compress = compress };
        FakeDisk first = Disk("_disk0", 300 * Block);
        first.Contents.AsSpan(10 * Block, 100 * Block).Clear();

        // Not a whole number of blocks, nor of pages.
        FakeDisk second = Disk("data", (5 * Block) + 1536);
        move.BringDisks(first, second);
        bool hasWritten = false;
        first.OnRead = offset =>
        {
            if (offset > 150 * Block && !hasWritten)
            {
                // Behind what has been sent, before it, and over both; one becomes zeros, another one something else.
                hasWritten = true;
                first.Write(3, [1, 2, 3]);
                first.Write(5 * Block, new byte[2 * Block]);
                first.Write(20 * Block, [5]);
                first.Write((299 * Block) + 7, [6]);
                first.Write((int)offset - Block + 1, Noise(2 * Block));
            }
        };
        move.Departure.OnCollect = n => second.Write((5 * Block) + 1535, [(byte)n]);
        move.Limits.DowntimeMs = 10_000;

        move.Run();

        MigrationInfo info = move.SourceProgress.Info();
        Assert.True(info.Phase == MigrationPhase.Completed, info.Error);
        Assert.True(hasWritten);
        move.AssertMemoryArrived();
        ulong size = (ulong)(first.Contents.Length + second.Contents.Length);
        Assert.Equal((size, size), (info.DiskBytes, move.TargetProgress.Info().DiskBytes));
        Assert.InRange(info.DiskDataBytes, 195ul * Block, 225ul * Block);
        Assert.InRange(info.DiskZeroBytes, 100ul * Block, 110ul * Block);
        Assert.Equal(0ul, info.RemainingBytes);
        Assert.All(move.Departure.FakeDisks, d => Assert.False(d.IsTracking));
        AssertHole(Path.Combine(move.DiskFolder, "_disk0"), 21 * Block, 110 * Block);
        AssertHole(Path.Combine(move.DiskFolder, "_disk0"), 5 * Block, 7 * Block);
        Assert.Equal(
            UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(move.DiskFolder, "data")));
    }

    [Fact]
    public void A_paused_guests_disks_move_in_one_round()
    {
        using var move = new Move();
        move.Departure.Dispose();
        move.Departure = new FakeDeparture(move.World) { IsPaused = true };
        move.BringDisks(Disk("_disk0", 7 * Block));
        move.Run();
        Assert.Equal((MigrationPhase.Completed, 1u), (move.SourceProgress.Phase, move.SourceProgress.Info().Rounds));
        move.AssertMemoryArrived();
    }

    [Fact]
    public void A_disk_that_is_written_faster_than_it_goes_does_not_converge()
    {
        using var move = new Move();
        FakeDisk disk = Disk("_disk0", 32 * Block);
        move.BringDisks(disk);
        move.Departure.OnCollect = _ => disk.Write(0, Noise(32 * Block));
        move.Limits.TimeoutS = 2;
        move.Limits.DowntimeMs = 1;
        move.Limits.BandwidthBytesPerS = 1 << 20;
        move.Run();
        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal(MigrationPhase.Failed, info.Phase);
        Assert.Contains("took longer than 2 s", info.Error, StringComparison.Ordinal);
        AssertNothingLeft(move);
    }

    [Fact]
    public void A_file_that_is_there_already_is_named_and_stays()
    {
        using var move = new Move();
        move.BringDisks(Disk("_disk0", Block), Disk("_disk1", Block));
        string there = Path.Combine(move.DiskFolder, "_disk1");
        File.WriteAllText(there, "precious");
        move.Run();
        Assert.Contains($"disk _disk1: {there} is there already, with 8 bytes", move.SourceProgress.Info().Error, StringComparison.Ordinal);
        Assert.Equal(FakeDeparture.Side, move.World.Running);
        Assert.Equal(there, Assert.Single(Directory.GetFiles(move.DiskFolder)));
        Assert.Equal("precious", File.ReadAllText(there));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_file_that_may_be_replaced_is_so_only_when_the_guest_runs(bool fails)
    {
        using var move = new Move();
        FakeDisk disk = Disk("_disk0", 3 * Block);
        move.BringDisks(disk);
        move.Arrival.Overwrites = true;
        string there = Path.Combine(move.DiskFolder, "_disk0");
        File.WriteAllText(there, "old");
        string? seen = null;
        move.Arrival.OnRun = () => seen = File.ReadAllText(there);
        move.Arrival.RunFailure = fails ? new MigrationException("no, after all") : null;
        move.Run();
        Assert.Equal("old", seen);
        if (fails)
        {
            Assert.Contains("no, after all", move.SourceProgress.Info().Error, StringComparison.Ordinal);
            Assert.Equal(FakeDeparture.Side, move.World.Running);
            Assert.Equal("old", File.ReadAllText(there));
            Assert.Single(Directory.GetFiles(move.DiskFolder));
        }
        else
        {
            Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
            move.AssertDisksArrived();
        }
    }

    [Fact]
    public void A_place_that_is_taken_meanwhile_is_not_overwritten()
    {
        using var move = new Move();
        FakeDisk disk = Disk("_disk0", 3 * Block);
        move.BringDisks(disk);
        string there = Path.Combine(move.DiskFolder, "_disk0");
        move.Arrival.OnRun = () => Directory.CreateDirectory(there);
        move.Run();
        Assert.Contains("disk _disk0: cannot move", move.SourceProgress.Info().Error, StringComparison.Ordinal);
        Assert.Equal(FakeDeparture.Side, move.World.Running);
        Assert.Equal(there, Assert.Single(Directory.GetFileSystemEntries(move.DiskFolder)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_file_that_comes_meanwhile_is_not_replaced(bool wasThere)
    {
        using var move = new Move();
        FakeDisk disk = Disk("_disk0", 3 * Block);
        move.BringDisks(disk);
        string there = Path.Combine(move.DiskFolder, "_disk0");
        string other = there + ".other";
        if (wasThere)
        {
            // To be replaced, but not by then: somebody else's disk has taken its place.
            File.WriteAllText(there, "old");
            move.Arrival.Overwrites = true;
        }

        move.Arrival.OnRun = () =>
        {
            File.WriteAllText(other, "another guest's");
            File.Move(other, there, overwrite: true);
        };
        move.Run();
        Assert.Contains("disk _disk0", move.SourceProgress.Info().Error, StringComparison.Ordinal);
        Assert.Equal(FakeDeparture.Side, move.World.Running);
        Assert.Equal("another guest's", File.ReadAllText(there));
        Assert.Equal(there, Assert.Single(Directory.GetFiles(move.DiskFolder)));
    }

    [Fact]
    public void A_disk_that_cannot_be_read_ends_the_move_and_the_guest_goes_on()
    {
        using var move = new Move();
        FakeDisk disk = Disk("_disk0", 40 * Block);
        disk.OnRead = offset => disk.ReadFailure = offset > 0 ? new MigrationException("bad sector") : null;
        move.BringDisks(disk);
        move.Run();
        Assert.Contains("bad sector", move.SourceProgress.Info().Error, StringComparison.Ordinal);
        AssertNothingLeft(move);
    }

    [Fact]
    public void A_check_moves_nothing_and_leaves_nothing()
    {
        using var move = new Move { OnlyChecks = true };
        move.BringDisks(Disk("_disk0", Block));
        move.Run();
        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal((MigrationPhase.Checked, GuestPlace.Here, null), (info.Phase, info.Guest, info.Error));
        Assert.Contains("only a check was asked for", move.TargetProgress.Info().Error, StringComparison.Ordinal);
        Assert.Equal(0u, info.Rounds);
        AssertNothingLeft(move);
    }

    [Fact]
    public void A_target_with_an_older_protocol_is_named_before_anything_is_offered()
    {
        using var move = new Move();
        move.BringDisks(Disk("_disk0", Block));
        using StreamListener listener = StreamListener.Bind(Move.Endpoint(move.ProxyPath));
        FrameType last = FrameType.Hello;
        var older = new Thread(() =>
        {
            using SocketStream socket = listener.Accept(60_000)!;
            var reader = new FrameReader(socket);
            reader.ReadMagic();
            MigrationHello hello = StateReader.Read<MigrationHello>(reader.Read().Payload.FirstSpan.ToArray(), MigrationHello.Describe);
            Assert.Equal(MigrationWire.FeatureDisks, hello.Features);
            var writer = new FrameWriter(socket);
            writer.WriteMagic();
            writer.Write(FrameType.Welcome, StateWriter.Write(new MigrationWelcome(1, 0, "cnvm 0.old"), MigrationWelcome.Describe));
            last = reader.Read().Type;
        });
        older.Start();
        move.StartSource(move.ProxyPath);
        Assert.True(older.Join(TimeSpan.FromSeconds(60)));
        Assert.True(move.WaitForSource());
        Assert.Equal(FrameType.Cancel, last);
        Assert.Contains("(cnvm 0.old) is too old to take disks along", move.SourceProgress.Info().Error, StringComparison.Ordinal);
        Assert.Equal(FakeDeparture.Side, move.World.Running);
    }

    /// <summary>The host runs out of space where there was enough when it was asked, in the first round or later.</summary>
    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_disk_for_which_no_space_is_left_stays_at_the_source(bool isLate)
    {
        using var move = new Move();
        FakeDisk disk = Disk("_disk0", 32 * Block);
        disk.Contents.AsSpan(16 * Block).Clear();
        move.BringDisks(disk);
        Skip.IfNot(Environment.IsPrivilegedProcess && Run("mount", "-t", "tmpfs", "-o", "size=2m", "none", move.DiskFolder), "a small tmpfs cannot be mounted here");
        try
        {
            string filler = Path.Combine(move.DiskFolder, "filler");
            move.Arrival.OnPrepared = () => File.WriteAllBytes(filler, new byte[isLate ? Block : 20 * Block]);
            move.Departure.OnCollect = n =>
            {
                // Where there was nothing before.
                disk.Write(16 * Block, Noise(16 * Block));
                move.Departure.Write(0x3000, (byte)n);
            };
            move.Limits.DowntimeMs = 10_000;
            move.Run();
            MigrationInfo end = move.SourceProgress.Info();
            Assert.Equal((MigrationPhase.Failed, GuestPlace.Here, FakeDeparture.Side), (end.Phase, end.Guest, move.World.Running));
            Assert.Contains("_disk0", end.Error, StringComparison.Ordinal);
            Assert.Contains("No space left on device", end.Error, StringComparison.OrdinalIgnoreCase);
            Assert.Equal(isLate, move.TargetProgress.Info().Rounds > 0);
            Assert.Equal([filler], Directory.GetFileSystemEntries(move.DiskFolder));
            Assert.True(move.Arrival.IsDiscarded);
        }
        finally
        {
            Assert.True(Run("umount", move.DiskFolder));
        }
    }

    private static bool Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        process.WaitForExit();
        return process.ExitCode == 0;
    }

    private static FakeDisk Disk(string id, int size)
    {
        var disk = new FakeDisk(id, size);
        Noise(size).CopyTo(disk.Contents, 0);
        return disk;
    }

    private static byte[] Noise(int size)
    {
        byte[] noise = new byte[size];
        new Random(size).NextBytes(noise);
        return noise;
    }

    private static void AssertHole(string path, long start, long end)
    {
        using var file = new DiskFile(path, readOnly: true, direct: false);
        Assert.False(file.TryFindData((ulong)start, (ulong)end, out ulong data, out _), $"{path} has data at {data}");
    }

    private static void AssertNothingLeft(Move move)
    {
        Assert.Equal(FakeDeparture.Side, move.World.Running);
        Assert.Empty(Directory.GetFileSystemEntries(move.DiskFolder));
        Assert.All(move.Departure.FakeDisks, d => Assert.False(d.IsTracking));
    }
}
