using Cnvm.Devices;
using Cnvm.Linux;
using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Tests.Support;
using static Cnvm.Linux.FileLocks;

namespace Cnvm.Virtio.Tests.Fs;

/// <summary>Locks that guests share with the host, request by request. Another guest is another server on the folder.</summary>
public sealed class FsLockTests : IDisposable
{
    private const ulong Root = FuseAbi.FUSE_ROOT_ID;
    private const uint Flags = FuseAbi.FUSE_POSIX_LOCKS | FuseAbi.FUSE_FLOCK_LOCKS;
    private const ulong Me = 0xfeed_0000_0000_0001;
    private const ulong You = 2;
    private readonly FuseClient _client = new(locks: true);
    private readonly ulong _node;
    private readonly ulong _handle;

    public FsLockTests()
    {
        _client.Begin();
        (_node, _handle) = _client.Create(Root, "f");
    }

    public void Dispose() => _client.Dispose();

    [Fact]
    public void Locks_are_asked_for_only_where_they_are_shared()
    {
        Assert.Equal(Flags, _client.Begin().flags & Flags);
        Assert.Equal(FuseAbi.FUSE_FLOCK_LOCKS, _client.Begin(FuseAbi.FUSE_FLOCK_LOCKS).flags);
        ulong handle = _client.Create(Root, "f").Handle;
        Assert.Equal(-Errno.ENOSYS, Ask(_client, handle, Me, F_RDLCK, 0, 9));
        Assert.Equal(0, AskWhole(_client, handle, F_RDLCK));
        using FuseClient alone = new();
        Assert.Equal(0u, alone.Begin().flags & Flags);
        (_, handle) = alone.Create(Root, "f");
        Assert.Equal(-Errno.ENOSYS, Ask(alone, handle, Me, F_RDLCK, 0, 9));
        Assert.Equal(-Errno.ENOSYS, AskWhole(alone, handle, F_RDLCK));
        Assert.Equal(-Errno.ENOSYS, alone.Try(FuseAbi.FUSE_GETLK, Root, FuseClient.Bytes(Request(handle, Me, F_RDLCK, 0, 9))).Error);
    }

    [Fact]
    public void Owners_guests_and_the_host_exclude_each_other()
    {
        using FuseClient other = new(folder: _client.Folder, locks: true);
        other.Begin();
        ulong theirs = other.Open(other.LookUp(Root, "f").nodeid);
        using HostLock host = new(_client.Path("f"));
        Assert.Equal(0, Ask(_client, _handle, Me, F_WRLCK, 10, 29, process: 76));
        Assert.Equal(0, Ask(_client, _handle, Me, F_WRLCK, 10, 29, process: 77));
        Assert.Equal(-Errno.EAGAIN, Ask(_client, _handle, You, F_RDLCK, 29, 40));
        Assert.Equal(-Errno.EAGAIN, Ask(other, theirs, Me, F_RDLCK, 0, long.MaxValue));
        Assert.False(host.Takes(F_RDLCK, 0, 10));
        Assert.Equal(0, Ask(_client, _handle, You, F_WRLCK, 30, long.MaxValue, process: 78));

        // What is in the way: the guest's own processes have their numbers there.
        Assert.Equal((10UL, 29UL, (uint)F_WRLCK, 77u), Find(_client, _handle, You, F_RDLCK, 0, 20));
        Assert.Equal((30UL, (ulong)long.MaxValue, (uint)F_WRLCK, 78u), Find(_client, _handle, Me, F_RDLCK, 0, 50));
        Assert.Equal((10UL, 29UL, (uint)F_WRLCK, 0u), Find(other, theirs, Me, F_RDLCK, 0, 20));
        Assert.Equal((0UL, 9UL, (uint)F_UNLCK, 0u), Find(other, theirs, Me, F_WRLCK, 0, 9));

        // A hole in the middle is free, and what is shared is for all.
        Assert.Equal(0, Ask(_client, _handle, Me, F_UNLCK, 15, 19));
        Assert.Equal(0, Ask(other, theirs, Me, F_WRLCK, 15, 19));
        Assert.Equal(-Errno.EAGAIN, Ask(other, theirs, Me, F_WRLCK, 14, 19));
        Assert.Equal(0, Ask(_client, _handle, Me, F_RDLCK, 10, 14));
        Assert.Equal(0, Ask(other, theirs, You, F_RDLCK, 10, 14));
        Assert.True(host.Takes(F_RDLCK, 10, 14));
        Assert.Equal(-Errno.EAGAIN, Ask(_client, _handle, Me, F_WRLCK, 10, 14));

        // Who has nothing has nothing to give back.
        Assert.Equal(0, Ask(_client, _handle, 99, F_UNLCK, 0, long.MaxValue));
    }

    [Fact]
    public void A_close_gives_back_what_its_process_has_locked()
    {
        using HostLock host = new(_client.Path("f"));
        ulong again = _client.Open(_node);
        Assert.Equal(0, Ask(_client, _handle, Me, F_WRLCK, 0, 0));
        Assert.Equal(0, Ask(_client, again, You, F_WRLCK, 1, 1));
        _client.Ask(FuseAbi.FUSE_FLUSH, _node, FuseClient.Bytes(new fuse_flush_in { fh = again, lock_owner = Me }));
        Assert.True(host.Takes(F_WRLCK, 0, 0));
        Assert.False(host.Takes(F_WRLCK, 1, 1));

        // A lock that belongs to the open file goes with that, without anybody's close before.
        _client.Release(again);
        Assert.True(host.Takes(F_WRLCK, 1, 1));
        host.Release();
        Assert.Equal(0, Ask(_client, _handle, Me, F_WRLCK, 0, 0));
        _client.Ask(FuseAbi.FUSE_DESTROY, 0);
        Assert.True(host.Takes(F_WRLCK));
    }

    [Fact]
    public void Whole_files_are_locked_by_their_handles()
    {
        using HostLock host = new(_client.Path("f"));
        ulong again = _client.Open(_node, 0);
        Assert.Equal(0, AskWhole(_client, _handle, F_RDLCK));
        Assert.Equal(0, AskWhole(_client, again, F_RDLCK));
        Assert.True(host.TakesWhole(F_RDLCK));
        Assert.True(host.Takes(F_WRLCK));

        // Who asks for more and does not get it has lost what it had, as with flock(2) everywhere.
        Assert.Equal(-Errno.EAGAIN, AskWhole(_client, again, F_WRLCK));
        Assert.Equal([_handle], _client.Shared.Save("t").Locks!.Held.Select(l => l.Handle));
        Assert.Equal(0, AskWhole(_client, _handle, F_UNLCK));
        Assert.True(host.TakesWhole(F_UNLCK));
        Assert.Null(_client.Shared.Save("t").Locks);
        Assert.Equal(0, AskWhole(_client, again, F_WRLCK));
        Assert.False(host.TakesWhole(F_RDLCK));
        _client.Ask(FuseAbi.FUSE_RELEASE, 0, FuseClient.Bytes(new fuse_release_in { fh = again, release_flags = 2, lock_owner = Me }));
        Assert.True(host.TakesWhole(F_WRLCK));
    }

    [Fact]
    public void A_lock_for_writing_needs_a_file_that_is_open_for_it()
    {
        ulong reads = _client.Open(_node, 0);
        ulong writes = _client.Open(_node, 1);
        using HostLock host = new(_client.Path("f"));
        Assert.Equal(-Errno.EBADF, Ask(_client, reads, Me, F_WRLCK, 0, 9));
        Assert.Equal(0, Ask(_client, reads, Me, F_RDLCK, 0, 9));
        Assert.Equal(0, Ask(_client, reads, Me, F_RDLCK, 20, 29));
        Assert.True(host.Takes(F_RDLCK, 5, 6));

        // By another handle it may write: what it had it keeps, and its own locks are not in its way.
        Assert.Equal(-Errno.EAGAIN, Ask(_client, writes, Me, F_WRLCK, 0, 9));
        Assert.Equal(0, Ask(_client, writes, Me, F_WRLCK, 20, 29));
        Assert.False(host.Takes(F_WRLCK, 0, 0));
        Assert.False(host.Takes(F_RDLCK, 29, 29));
        Assert.Equal(2, _client.Shared.Save("t").Locks!.Held.Length);
    }

    [Fact]
    public void Requests_that_make_no_sense_are_refused()
    {
        ulong directory = _client.OpenDirectory(Root);
        fuse_lk_in good = Request(_handle, Me, F_WRLCK, 0, 9);
        foreach (fuse_lk_in bad in (fuse_lk_in[])
        [
            good with { lk = good.lk with { start = 10 } },
            good with { lk = good.lk with { end = 1UL << 63 } },
            good with { lk = good.lk with { start = ulong.MaxValue, end = ulong.MaxValue } },
            good with { lk = good.lk with { type = 3 } },
            good with { lk = good.lk with { type = 0x1_0001 } },
            good with { lk_flags = 2 },
        ])
        {
            foreach (uint operation in (uint[])[FuseAbi.FUSE_GETLK, FuseAbi.FUSE_SETLK, FuseAbi.FUSE_SETLKW])
            {
                Assert.Equal(Errno.EINVAL, _client.Refused(operation, _node, FuseClient.Bytes(bad)));
            }
        }

        foreach (uint operation in (uint[])[FuseAbi.FUSE_GETLK, FuseAbi.FUSE_SETLK, FuseAbi.FUSE_SETLKW])
        {
            Assert.Equal(Errno.EINVAL, _client.Refused(operation, _node, FuseClient.Bytes(good)[..^1]));
            Assert.Equal(Errno.EBADF, _client.Refused(operation, _node, FuseClient.Bytes(good with { fh = directory })));
            Assert.Equal(Errno.EBADF, _client.Refused(operation, _node, FuseClient.Bytes(good with { fh = 99 })));
        }

        Assert.Equal(Errno.EINVAL, _client.Refused(FuseAbi.FUSE_GETLK, _node, FuseClient.Bytes(good with { lk_flags = FuseAbi.FUSE_LK_FLOCK })));
        Assert.Equal(Errno.EINVAL, _client.Refused(FuseAbi.FUSE_GETLK, _node, FuseClient.Bytes(good with { lk = good.lk with { type = (uint)F_UNLCK } })));
        Assert.Null(_client.Shared.Save("t").Locks);
    }

    [Fact]
    public void Owners_and_ranges_have_bounds()
    {
        using FuseClient small = new(descriptors: 64, locks: true);
        small.Begin();
        ulong handle = small.Create(Root, "f").Handle;
        for (ulong owner = 1; owner <= 8; owner++)
        {
            Assert.Equal(0, Ask(small, handle, owner, F_RDLCK, 0, 0));
        }

        Assert.Equal(-Errno.ENOLCK, Ask(small, handle, 9, F_RDLCK, 0, 0));
        Assert.Equal(0, Ask(small, handle, 1, F_UNLCK, 0, 0));
        Assert.Equal(0, Ask(small, handle, 9, F_RDLCK, 0, 0));

        // Bytes with holes between them, of eight owners, each with a file of its own: the host looks through all locks of a file for each one.
        small.Release(handle);
        ulong[] handles = [.. Enumerable.Range(0, 8).Select(i => small.Create(Root, $"f{i}").Handle)];
        for (int i = 0; i < FsLocks.MaxRanges; i++)
        {
            int start = i / 8 * 4;
            Assert.Equal(0, Ask(small, handles[i % 8], Me, F_RDLCK, start, start + 2));
        }

        Assert.Equal(-Errno.ENOLCK, Ask(small, handles[0], Me, F_RDLCK, 1 << 20, 1 << 20));
        Assert.Equal(-Errno.ENOLCK, Ask(small, handles[0], Me, F_UNLCK, 1, 1));
        Assert.Equal(0, Ask(small, handles[0], Me, F_RDLCK, 0, 6));
        Assert.Equal(0, Ask(small, handles[0], Me, F_UNLCK, 1, 1));
        Assert.Equal(-Errno.ENOLCK, Ask(small, handles[1], Me, F_UNLCK, 1, 1));
        Assert.Equal(FsLocks.MaxRanges, small.Shared.Save("t").Locks!.Held.Length);
        Assert.Equal(0, Ask(small, handles[0], Me, F_UNLCK, 0, long.MaxValue));
        Assert.Equal(0, Ask(small, handles[1], Me, F_UNLCK, 1, 1));
    }

    /// <summary>Against an array that has a type for each byte.</summary>
    [Fact]
    public void Ranges_are_what_was_asked_for()
    {
        var random = new Random(5);
        var ranges = new FsLockRanges();
        short[] bytes = new short[64];
        Array.Fill(bytes, F_UNLCK);
        for (int i = 0; i < 20_000; i++)
        {
            int start = random.Next(bytes.Length);
            int last = random.Next(start, bytes.Length);
            var change = new FsLockRange(start, last == bytes.Length - 1 ? long.MaxValue : last, (short)random.Next(3));
            int before = ranges.Count;
            int planned = ranges.Plan(change);
            Assert.Equal(before, ranges.Count);
            Assert.InRange(planned, 0, before + 2);
            ranges.Commit();
            Array.Fill(bytes, change.Type, start, last - start + 1);
            List<FsLockRange> expected = [];
            for (int at = 0; at < bytes.Length;)
            {
                int from = at;
                while (at < bytes.Length && bytes[at] == bytes[from])
                {
                    at++;
                }

                if (bytes[from] != F_UNLCK)
                {
                    expected.Add(new FsLockRange(from, at == bytes.Length ? long.MaxValue : at - 1, bytes[from]));
                }
            }

            Assert.Equal(expected, ranges.All.ToArray());
        }
    }

    [Fact]
    public void Locks_survive_and_are_refused_where_somebody_has_them()
    {
        ulong again = _client.Open(_node, 0);
        ulong gone = _client.Create(Root, "gone").Handle;
        Assert.Equal(0, Ask(_client, _handle, Me, F_WRLCK, 10, 19, process: 5));
        Assert.Equal(0, Ask(_client, again, Me, F_RDLCK, 40, long.MaxValue, process: 5));
        Assert.Equal(0, Ask(_client, _handle, You, F_RDLCK, 30, 50, process: 6));
        Assert.Equal(0, AskWhole(_client, again, F_WRLCK));
        Assert.Equal(0, Ask(_client, gone, Me, F_WRLCK, 0, 0));
        FsState state = _client.Shared.Save("t", new FsWaitState { Queue = 1, Head = 3 });
        string text = StateText.Of(state);
        Assert.Equal(5, state.Locks!.Held.Length);
        Assert.Equal(text, StateText.Of(_client.Shared.Save("t", new FsWaitState { Queue = 1, Head = 3 })));

        // The guest is there still: nobody else can be it.
        using FuseClient other = new(folder: _client.Folder, locks: true);
        DeviceStateException e = Assert.Throws<DeviceStateException>(() => other.Shared.Restore(state));
        Assert.Contains(_client.Folder + "/f is locked by ", e.Message, StringComparison.Ordinal);
        Assert.Equal((0UL, 0UL), (other.Shared.NodeCount, other.Shared.HandleCount));

        // Once it has let go: as it was, and with the file that is gone its lock.
        _client.Shared.LetLocksGo();
        Assert.Equal(text, StateText.Of(_client.Shared.Save("t", new FsWaitState { Queue = 1, Head = 3 })));
        Assert.Equal(0, other.Shared.Restore(state));
        Assert.Equal(text, StateText.Of(other.Shared.Save("t", new FsWaitState { Queue = 1, Head = 3 })));
        using HostLock host = new(_client.Path("f"));
        Assert.False(host.Takes(F_RDLCK, 19, 19));
        Assert.False(host.Takes(F_WRLCK, 30, 30));
        Assert.False(host.Takes(F_WRLCK, 1 << 30, 1 << 30));
        Assert.False(host.TakesWhole(F_RDLCK));
        Assert.True(host.Takes(F_WRLCK, 20, 29));
        Assert.Equal((10UL, 19UL, (uint)F_WRLCK, 5u), Find(other, _handle, You, F_RDLCK, 0, 20));
        Assert.Contains("/f is locked by ", _client.Shared.TakeLocks(), StringComparison.Ordinal);
        other.Ask(FuseAbi.FUSE_DESTROY, 0);
        Assert.Null(_client.Shared.TakeLocks());
        Assert.Null(_client.Shared.TakeLocks());
        Assert.False(host.TakesWhole(F_RDLCK));
        _client.Ask(FuseAbi.FUSE_DESTROY, 0);
        File.Delete(_client.Path("gone"));
        Assert.Equal(1, other.Shared.Restore(state));
        Assert.Equal(4, other.Shared.Save("t").Locks!.Held.Length);
        other.Ask(FuseAbi.FUSE_FLUSH, 0, FuseClient.Bytes(new fuse_flush_in { fh = _handle, lock_owner = Me }));
        other.Ask(FuseAbi.FUSE_FLUSH, 0, FuseClient.Bytes(new fuse_flush_in { fh = _handle, lock_owner = You }));
        Assert.True(host.Takes(F_WRLCK));
        other.Release(again);
        Assert.True(host.TakesWhole(F_WRLCK));
    }

    [Fact]
    public void A_state_of_nonsense_is_refused()
    {
        ulong directory = _client.OpenDirectory(Root);
        Assert.Equal(0, Ask(_client, _handle, Me, F_WRLCK, 10, 19));
        Assert.Equal(0, AskWhole(_client, _handle, F_WRLCK));
        FsState good = _client.Shared.Save("t");
        FsLockState range = good.Locks!.Held[0];
        FsLockState whole = good.Locks.Held[1];
        FsState With(params FsLockState[] held) => good with { Locks = good.Locks with { Held = held } };
        foreach (FsState bad in (FsState[])
        [
            With(range, range),
            With(whole, whole),
            With(range with { Handle = 99 }),
            With(whole with { Handle = directory }),
            With(range with { Start = 20 }),
            With(range with { End = 1UL << 63 }),
            With([.. Enumerable.Range(0, FsLocks.MaxRanges + 1).Select(i => range with { Owner = (ulong)i })]),
            With([.. Enumerable.Range(0, _client.Shared.Locks.MaxOwners + 1).Select(i => range with { Owner = (ulong)i })]),
            good with { Flags = good.Flags & ~Flags },
        ])
        {
            Assert.Throws<DeviceStateException>(() => _client.Shared.Restore(bad));
        }

        Assert.NotNull(_client.Shared.Save("t").Locks);
        using FuseClient alone = new(folder: _client.Folder);
        Assert.Contains("locks=on", Assert.Throws<DeviceStateException>(() => alone.Shared.Restore(good with { Locks = null })).Message, StringComparison.Ordinal);
    }

    private static fuse_lk_in Request(ulong handle, ulong owner, short type, long start, long end, uint process = 1, uint flags = 0) => new()
    {
        fh = handle, owner = owner, lk_flags = flags,
        lk = new fuse_file_lock { start = (ulong)start, end = (ulong)end, type = (uint)type, pid = process },
    };

    private static int Ask(FuseClient client, ulong handle, ulong owner, short type, long start, long end, uint process = 1) =>
        client.Try(FuseAbi.FUSE_SETLK, Root, FuseClient.Bytes(Request(handle, owner, type, start, end, process))).Error;

    private static int AskWhole(FuseClient client, ulong handle, short type) => client.Try(
        FuseAbi.FUSE_SETLK, Root, FuseClient.Bytes(Request(handle, handle, type, 0, long.MaxValue, flags: FuseAbi.FUSE_LK_FLOCK))).Error;

    private static (ulong Start, ulong End, uint Type, uint Process) Find(FuseClient client, ulong handle, ulong owner, short type, long start, long end)
    {
        fuse_file_lock found = FuseClient.Get<fuse_lk_out>(client.Ask(FuseAbi.FUSE_GETLK, Root, FuseClient.Bytes(Request(handle, owner, type, start, end)))).lk;
        return (found.start, found.end, found.type, found.pid);
    }
}
