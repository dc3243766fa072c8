namespace Cnvm.Guest.Tests;

/// <summary>What a guest does while it moves, with a check that it was done right all the while.</summary>
/// <param name="Name">As the table of moves names it.</param>
/// <param name="Round">Shell commands that do it once, from a loop with its count in $i; they say "bad" when something is wrong. Empty: nothing.</param>
internal sealed record MigrationLoad(string Name, string Round)
{
    /// <summary>The guest waits for something to do.</summary>
    public static MigrationLoad Idle { get; } = new("idle", "");

    /// <summary>The self-check's patterns in memory and arithmetic, on as many threads as there are vCPUs.</summary>
    public static MigrationLoad Memory(int cpus) =>
        new("memory", $"/run/selfcheck run 1 {cpus} >/tmp/check || echo bad; grep -q ' errors=0 ' /tmp/check || cat /tmp/check");

    /// <summary>Random blocks go to the disk and come back from there, not from the guest's cache.</summary>
    public static MigrationLoad Disk(string device) => new(
        "disk",
        $"dd if=/dev/urandom of=/tmp/block bs=64k count=1 2>/dev/null; n=$((i%64)); dd if=/tmp/block of={device} bs=64k seek=$n conv=notrunc,fsync 2>/dev/null; "
        + $"blockdev --flushbufs {device}; dd if={device} bs=64k skip=$n count=1 2>/dev/null | cmp - /tmp/block || echo bad");

    public async Task StartAsync(GuestVm guest)
    {
        await guest.AskAsync("rm -f /tmp/stop /tmp/end");
        await guest.TypeAsync(Round.Length == 0
            ? "echo rounds=1 >/tmp/end"
            : $"(i=0; while [ ! -e /tmp/stop ] || [ $i -lt 1 ]; do {Round}; i=$((i+1)); done >/tmp/log 2>&1; cat /tmp/log >/tmp/summary; echo rounds=$i >>/tmp/summary; mv /tmp/summary /tmp/end) &");
    }

    /// <summary>Ends it; nothing was wrong before, during or after the move.</summary>
    public async Task EndAsync(GuestVm guest)
    {
        string end = await guest.AskAsync("touch /tmp/stop; while [ ! -e /tmp/end ]; do usleep 50000; done; cat /tmp/end");
        Assert.Matches(@"^rounds=[1-9]\d*$", end);
    }
}
