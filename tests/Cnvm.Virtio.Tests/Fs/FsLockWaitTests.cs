using Cnvm.Devices;
using Cnvm.Linux;
using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Transport;
using Microsoft.Extensions.Logging.Abstractions;
using static Cnvm.Linux.FileLocks;

namespace Cnvm.Virtio.Tests.Fs;

/// <summary>Requests for locks that the host has, on a device's queues.</summary>
public sealed class FsLockWaitTests : IDisposable
{
    private const ulong Root = FuseAbi.FUSE_ROOT_ID;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-fs-").FullName;
    private readonly TestMemory _memory = new();
    private readonly PciGuest _guest;
    private readonly FsDriver _driver;
    private readonly ulong _handle;
    private readonly HostLock _host;

    public FsLockWaitTests()
    {
        _guest = new PciGuest(Make(), _memory);
        _driver = new FsDriver(_memory, _guest);
        _driver.Begin();
        _handle = _driver.Create("f\0"u8).Handle;
        _host = new HostLock(Path.Combine(_folder, "f"));
    }

    public void Dispose()
    {
        _host.Dispose();
        _guest.Dispose();
        _memory.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Who_waits_gets_the_lock_and_keeps_nobody_else_waiting()
    {
        Assert.True(_host.Takes(F_WRLCK) && _host.TakesWhole(F_RDLCK));
        AskLater(0, 1, F_WRLCK);
        AskLater(1, 0, F_WRLCK, FuseAbi.FUSE_LK_FLOCK);
        AskLater(2, 0, F_RDLCK, FuseAbi.FUSE_LK_FLOCK);
        Assert.Equal(0, _driver.AwaitAnswer(2));
        GoesOn();
        Assert.False(_driver.IsAnswered);
        Assert.True(_host.Takes(F_UNLCK));
        Assert.Equal(0, _driver.AwaitAnswer(0));
        Assert.False(_host.Takes(F_RDLCK));
        GoesOn();
        Assert.False(_driver.IsAnswered);
        Assert.True(_host.TakesWhole(F_UNLCK));
        Assert.Equal(0, _driver.AwaitAnswer(1));
        Assert.False(_host.TakesWhole(F_RDLCK));
    }

    [Fact]
    public void A_guests_processes_wait_for_each_other()
    {
        Assert.Equal(0, Ask(1, F_WRLCK));
        AskLater(0, 2, F_RDLCK);
        AskLater(1, 3, F_RDLCK);
        GoesOn();
        Assert.False(_driver.IsAnswered);
        Assert.Equal(0, _driver.Ask(FuseAbi.FUSE_SETLK, Root, Request(1, F_UNLCK)));
        Assert.Equal([0, 0], _driver.AwaitAnswers(0, 1));
        Assert.False(_host.Takes(F_WRLCK));
        Assert.True(_host.Takes(F_RDLCK));
    }

    [Fact]
    public void The_driver_can_end_a_wait()
    {
        Assert.True(_host.Takes(F_WRLCK));
        AskLater(0, 1, F_WRLCK);
        ulong unique = AskLater(1, 2, F_WRLCK);
        GoesOn();
        _driver.Interrupt(unique + 100);
        _driver.Interrupt(unique);
        Assert.Equal(-Errno.EINTR, _driver.AwaitAnswer(1));
        GoesOn();
        Assert.False(_driver.IsAnswered);
        _host.Release();
        Assert.Equal(0, _driver.AwaitAnswer(0));
    }

    [Fact]
    public void A_close_by_another_handle_leaves_a_wait_and_one_by_its_own_ends_it()
    {
        Assert.True(_host.Takes(F_WRLCK));
        AskLater(0, 1, F_WRLCK);
        GoesOn();
        Assert.Equal(0, _driver.Ask(FuseAbi.FUSE_FLUSH, Root, new fuse_flush_in { fh = _handle, lock_owner = 1 }));
        GoesOn();
        Assert.False(_driver.IsAnswered);
        _host.Release();
        Assert.Equal(0, _driver.AwaitAnswer(0));
        Assert.False(_host.Takes(F_RDLCK));
        Assert.Equal(0, _driver.Ask(FuseAbi.FUSE_FLUSH, Root, new fuse_flush_in { fh = _handle, lock_owner = 1 }));

        Assert.True(_host.Takes(F_WRLCK) && _host.TakesWhole(F_WRLCK));
        AskLater(1, 1, F_WRLCK);
        GoesOn();
        Assert.Equal(0, _driver.Ask(FuseAbi.FUSE_RELEASE, Root, new fuse_release_in { fh = _handle }));
        _host.Release();
        Assert.Equal(-Errno.EBADF, _driver.AwaitAnswer(1));
        Assert.True(_host.Takes(F_WRLCK) && _host.TakesWhole(F_WRLCK));
    }

    [Fact]
    public void A_wait_goes_on_after_a_pause_and_in_another_device()
    {
        Assert.True(_host.Takes(F_WRLCK));
        AskLater(0, 1, F_WRLCK);
        AskLater(1, 2, F_RDLCK);
        GoesOn();
        _guest.Function.Pause();
        PciTransportState state = _guest.Function.Save();
        string text = StateText.Of(state);
        FsLocksState locks = Assert.IsType<FsState>(state.Transport.Device).Locks!;
        Assert.Equal((0, 2), (locks.Held.Length, locks.Waiting.Length));
        Assert.False(_driver.IsAnswered);
        _guest.Function.Resume();
        GoesOn();
        Assert.False(_driver.IsAnswered);
        _guest.Function.Pause();
        state = _guest.Function.Save();
        _guest.Status = 0;

        using PciGuest other = new(Make(), _memory);
        other.Function.Restore(state);
        Assert.Equal(StateText.Of(state), StateText.Of(other.Function.Save()));
        Assert.NotEqual(text, StateText.Of(state));
        other.Function.Resume();
        _host.Release();
        Awaited(() => _driver.IsAnswered);

        // One of them has it, in whatever order, and the other one waits for that now, or shares it with nobody.
        Assert.False(_host.Takes(F_WRLCK));
        FsState saved = (FsState)state.Transport.Device;
        foreach (FsWaitState[] bad in (FsWaitState[][])
        [
            [saved.Locks!.Waiting[0], saved.Locks.Waiting[0]],
            [new FsWaitState { Queue = 2, Head = 0 }],
            [.. Enumerable.Range(0, FsLockWaits.Most + 1).Select(i => new FsWaitState { Queue = 1, Head = (ushort)i })],
        ])
        {
            using FsDevice device = Make();
            Assert.Throws<DeviceStateException>(() => device.Restore(saved with { Locks = saved.Locks with { Waiting = bad } }));
        }
    }

    [Fact]
    public void A_reset_ends_waits_and_gives_locks_back()
    {
        Assert.Equal(0, _driver.Ask(FuseAbi.FUSE_SETLK, Root, Request(1, F_WRLCK) with { lk = new fuse_file_lock { start = 100, end = 199, type = (uint)F_WRLCK } }));
        Assert.True(_host.Takes(F_WRLCK, 0, 99));
        AskLater(0, 1, F_WRLCK);
        AskLater(1, 2, F_WRLCK);
        GoesOn();
        _guest.Status = 0;
        Assert.True(_host.Takes(F_WRLCK));
        Assert.False(_driver.IsAnswered);

        // Another driver: what waited for the one before it is nobody's.
        _host.Release();
        FsDriver again = new(_memory, _guest);
        again.Begin();
        ulong handle = again.Create("f\0"u8).Handle;
        Assert.True(_host.Takes(F_WRLCK));
        Assert.Equal(-Errno.EAGAIN, again.Ask(FuseAbi.FUSE_SETLK, Root, Request(1, F_WRLCK) with { fh = handle }));
    }

    [Fact]
    public void There_are_only_so_many_waits()
    {
        Assert.True(_host.Takes(F_WRLCK));
        for (int i = 0; i < 32; i++)
        {
            AskLater(i, (ulong)i + 1, F_WRLCK);
        }

        GoesOn();
        AskLater(32, 33, F_WRLCK);
        Assert.Equal(-Errno.ENOLCK, _driver.AwaitAnswer(32));
        Assert.False(_driver.IsAnswered);
        _guest.Function.Pause();
        _guest.Function.Resume();
        GoesOn();
        Assert.False(_driver.IsAnswered);
    }

    private static void Awaited(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(10)), "nothing came in ten seconds");

    private fuse_lk_in Request(ulong owner, short type, uint flags = 0) => new()
    {
        fh = _handle, owner = owner, lk_flags = flags, lk = new fuse_file_lock { end = long.MaxValue, type = (uint)type },
    };

    private int Ask(ulong owner, short type) => _driver.Ask(FuseAbi.FUSE_SETLK, Root, Request(owner, type));

    private ulong AskLater(int slot, ulong owner, short type, uint flags = 0) => _driver.AskLater(FuseAbi.FUSE_SETLKW, Root, Request(owner, type, flags), slot);

    /// <summary>The queue answers others.</summary>
    private void GoesOn() => Assert.Equal(0, _driver.Ask(FuseAbi.FUSE_GETATTR, Root, default(fuse_getattr_in)));

    private FsDevice Make() => new(
        new FsOptions { Id = "_fs0", Tag = "t", Path = _folder, QueueSize = 128, SharesLocks = true }, NullLogger.Instance);
}
