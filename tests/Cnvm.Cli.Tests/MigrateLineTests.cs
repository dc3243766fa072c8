using Cnvm.Cli.Commands;
using Cnvm.Vmm.Migration;

namespace Cnvm.Cli.Tests;

/// <summary>The line that shows how far a migration is.</summary>
public sealed class MigrateLineTests
{
    [Fact]
    public void It_says_how_much_is_done_and_what_is_left()
    {
        MigrationInfo info = Info(MigrationPhase.Precopy) with { Rounds = 1, BandwidthBytesPerS = 136 << 20, RemainingBytes = 256 << 20, ExpectedDowntimeMs = 1900 };
        Assert.Equal("[######################........] Precopy, round 2, 136 MiB/s, 256 MiB left, would stand still 1900 ms", MigrateCommand.Line(info, 200));

        // In the first round what is left goes down with every message.
        info = Info(MigrationPhase.Precopy) with { DataPages = 65536, ZeroPages = 65536 };
        Assert.Equal("[###############...............] Precopy, round 1, 512 MiB left", MigrateCommand.Line(info, 200));
        info = Info(MigrationPhase.Postcopy) with { Rounds = 2, RemainingBytes = 512 << 20, PostcopyFaults = 7 };
        Assert.Equal("[###############...............] Postcopy, round 3, 7 waited for, 512 MiB left", MigrateCommand.Line(info, 200));
        info = Info(MigrationPhase.PostcopyLost) with { Rounds = 2, RemainingBytes = 1 << 30 };
        Assert.Equal("[..............................] PostcopyLost, round 3, connection lost: neither VMM may end, 1 GiB left", MigrateCommand.Line(info, 200));
    }

    /// <summary>Broken into two lines it could not be written over.</summary>
    [Theory]
    [InlineData(120)]
    [InlineData(80)]
    [InlineData(60)]
    [InlineData(20)]
    [InlineData(2)]
    [InlineData(0)]
    public void It_fits_the_terminal(int columns)
    {
        MigrationInfo info = Info(MigrationPhase.Precopy) with { Rounds = 41, BandwidthBytesPerS = 1300 << 20, RemainingBytes = 1000 << 20, ExpectedDowntimeMs = 300_000 };
        string line = MigrateCommand.Line(info, columns);
        Assert.InRange(line.Length, 1, Math.Max(columns - 1, 1));
        Assert.StartsWith("[", line, StringComparison.Ordinal);
        Assert.True(columns < 60 || line.StartsWith("[.....", StringComparison.Ordinal), line);
        Assert.True(columns < 60 || line.Contains(".] Precopy, round 42", StringComparison.Ordinal), line);
    }

    private static MigrationInfo Info(MigrationPhase phase) => new(
        MigrationSide.Source,
        phase,
        GuestPlace.Here,
        "tcp:h:1",
        Peer: "cnvm 9",
        Compression: "lz4",
        Rounds: 0,
        MemoryBytes: 1 << 30,
        DataPages: 0,
        ZeroPages: 0,
        TransferredBytes: 0,
        RemainingBytes: 0,
        BandwidthBytesPerS: 0,
        DirtyBytesPerS: 0,
        ExpectedDowntimeMs: null,
        DowntimeMs: null,
        ThrottlePercent: 0,
        ElapsedMs: 0,
        Error: null,
        DiskBytes: 0,
        DiskDataBytes: 0,
        DiskZeroBytes: 0,
        PostcopyFaults: 0,
        DeltaPages: 0,
        DeltaSavedBytes: 0);
}
