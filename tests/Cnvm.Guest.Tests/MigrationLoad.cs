namespace Cnvm.Guest.Tests;

/// <summary>What a guest does while it moves, with a check that it was done right all the while. One guest at a time has it.</summary>
/// <param name="name">As the table of moves names it.</param>
internal abstract class MigrationLoad(string name) : IAsyncDisposable
{
    public string Name => name;

    /// <summary>The guest waits for something to do.</summary>
    public static MigrationLoad Idle { get; } = new ShellLoad("idle", "");

    /// <summary>The self-check's patterns in memory and arithmetic, on as many threads as there are vCPUs.</summary>
    public static MigrationLoad Memory(int cpus) => new ShellLoad(
        "memory", $"/run/selfcheck run 1 {cpus} >/tmp/check || echo bad; grep -q ' errors=0 ' /tmp/check || cat /tmp/check");

    /// <summary>Random blocks go to the disk and come back from there, not from the guest's cache.</summary>
    public static MigrationLoad Disk(string device) => new ShellLoad(
        "disk",
        $"dd if=/dev/urandom of=/tmp/block bs=64k count=1 2>/dev/null; n=$((i%64)); dd if=/tmp/block of={device} bs=64k seek=$n conv=notrunc,fsync 2>/dev/null; "
        + $"blockdev --flushbufs {device}; dd if={device} bs=64k skip=$n count=1 2>/dev/null | cmp - /tmp/block || echo bad");

    /// <summary>fio from <see cref="GuestPrograms.AddFioAsync"/>'s disk: random blocks with checksums in them, all read back.</summary>
    /// <param name="device">What it writes.</param>
    public static MigrationLoad Fio(string device) => new ShellLoad(
        "fio",
        $"chroot {GuestPrograms.FioFolder} /usr/bin/fio --name=verify --filename={device} --size=4M --bs=4k --rw=randwrite --verify=crc32c --ioengine=psync "
        + "--direct=1 --verify_state_save=0 --minimal >/tmp/fio.log 2>&1 || { echo bad; tail -n 5 /tmp/fio.log; }");

    /// <summary>Begins it; it has begun to work when this returns, or soon afterwards.</summary>
    public abstract Task StartAsync(GuestVm guest);

    /// <summary>Ends it; nothing was wrong before, during or after the moves.</summary>
    /// <returns>What is to be told of it, if anything is.</returns>
    public abstract Task<string> EndAsync(GuestVm guest);

    /// <summary>Ends what it has on the host.</summary>
    public virtual ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
