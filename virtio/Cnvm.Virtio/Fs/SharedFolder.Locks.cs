using System.Text;
using Cnvm.Linux;
using Cnvm.Linux.Fuse;

namespace Cnvm.Virtio.Fs;

/// <content>Locks of a guest that is saved, restored or moved.</content>
internal sealed unsafe partial class SharedFolder
{
    /// <summary>Flags of FUSE_INIT by which the driver asks this program for locks.</summary>
    public const uint LockFlags = FuseAbi.FUSE_POSIX_LOCKS | FuseAbi.FUSE_FLOCK_LOCKS;

    /// <summary>Lets others have what the guest has locked, until <see cref="TakeLocks"/>. No request comes meanwhile.</summary>
    public void LetLocksGo()
    {
        lock (_lock)
        {
            Locks.LetGo(_handles.Values);
        }
    }

    /// <summary>Takes the guest's locks again.</summary>
    /// <returns>Null, or why that is not possible; it may be tried again.</returns>
    public string? TakeLocks()
    {
        lock (_lock)
        {
            int error = Locks.TakeAgain(_handles.Values, out int fd);
            return error == 0 ? null
                : error == -Errno.EAGAIN ? $"{NameOf(fd)} is locked by {HolderOf(fd)}, and the guest has a lock on it: end that process, or have it unlock the file"
                : $"{NameOf(fd)}, on which the guest has a lock, cannot be locked (errno {-error})";
        }
    }

    private static string HolderOf(int fd)
    {
        stat status;
        int process = FileCalls.Stat(fd, &status) == 0 ? FileLocks.HolderOf(status.st_ino) : -1;
        return process < 0 || process == Environment.ProcessId ? "another process" : $"process {process}";
    }

    private string NameOf(int fd) => PathOf(fd) is { } path ? Encoding.UTF8.GetString(path) : "a file without a name";

    private void RestoreLocks(FsLocksState state)
    {
        foreach (FsLockState saved in state.Held)
        {
            // A file that is not there any more has taken its locks along.
            if (_handles[saved.Handle] is { Descriptor: { } descriptor } handle)
            {
                short type = saved.IsExclusive ? FileLocks.F_WRLCK : FileLocks.F_RDLCK;
                int error = 0;
                if (saved.IsWhole)
                {
                    handle.Lock = type;
                }
                else
                {
                    error = Locks.Add(handle, saved.Owner, new FsLockRange((long)saved.Start, (long)saved.End, type), saved.Process);
                }

                if (error != 0)
                {
                    RefuseLocks($"{NameOf(descriptor.Value)}, on which the guest has a lock, cannot be opened once more for that, or somebody has locked it");
                }
            }
        }

        if (TakeLocks() is { } obstacle)
        {
            RefuseLocks(obstacle);
        }
    }

    private void RefuseLocks(string reason)
    {
        Clear();
        Require(false, nameof(FsState.Locks), reason);
    }

    private void ValidateLocks(FsState state)
    {
        Require(
            SharesLocks || (state.Flags & LockFlags) == 0,
            nameof(state.Flags), "the guest was told that its locks are shared with the host: the folder needs locks=on");
        if (state.Locks is not { } locks)
        {
            return;
        }

        Require((state.Flags & LockFlags) != 0, nameof(state.Locks), "the guest was not told that there are any");
        Require(locks.Held.Length <= FsLocks.MaxRanges, nameof(state.Locks), $"{locks.Held.Length} are more than {FsLocks.MaxRanges}");
        Dictionary<ulong, FsHandleState> handles = state.Handles.ToDictionary(h => h.Id);
        HashSet<ulong> whole = [];
        Dictionary<FsLockKey, ulong> ends = [];
        foreach (FsLockState saved in locks.Held)
        {
            bool isOpen = handles.TryGetValue(saved.Handle, out FsHandleState? handle);
            Require(isOpen && !handle!.IsDirectory, nameof(state.Locks), $"handle {saved.Handle} is no open file");
            Require(saved.Start <= saved.End && saved.End <= long.MaxValue, nameof(state.Locks), $"bytes {saved.Start} to {saved.End} are no range");
            if (saved.IsWhole)
            {
                Require(whole.Add(saved.Handle), nameof(state.Locks), $"handle {saved.Handle} has two");
                continue;
            }

            var key = new FsLockKey(handle!.Node, saved.Owner);
            Require(!ends.TryGetValue(key, out ulong end) || end < saved.Start, nameof(state.Locks), $"those of owner {saved.Owner} are out of order");
            ends[key] = saved.End;
        }

        Require(ends.Count <= Locks.MaxOwners, nameof(state.Locks), $"{ends.Count} owners are more than {Locks.MaxOwners}");
    }
}
