using Cnvm.Linux;

namespace Cnvm.Virtio.Fs;

/// <summary>
/// Locks that the guest holds on files of the folder, and the host's kernel for it: ranges by a descriptor for each owner and file, whole
/// files by the guest's own handle. Any thread; the lock is held over system calls, none of which waits for another holder.
/// </summary>
internal sealed unsafe class FsLocks(SharedFolder folder, int maxOwners)
{
    /// <summary>The host's kernel keeps a record for each.</summary>
    public const int MaxRanges = 16 * 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<FsLockKey, FsLockOwner> _owners = [];
    private int _ranges;

    /// <summary>Each owner of ranges of a file has a descriptor.</summary>
    public int MaxOwners => maxOwners;

    /// <summary>Takes, changes or gives back a range.</summary>
    /// <param name="file">The handle.</param>
    /// <param name="waits">Somebody else's lock is waited for.</param>
    /// <param name="wait">That wait, which is to be started; the request is made again when it is over.</param>
    /// <returns>0 or minus the error number: EAGAIN if somebody else has it, ENOLCK if there are too many.</returns>
    public int Set(in FileUse file, ulong owner, in FsLockRange change, uint process, bool waits, out FsLockWait? wait)
    {
        wait = null;
        FsHandle handle = file.Handle!;
        var key = new FsLockKey(handle.Node, owner);
        lock (_lock)
        {
            if (!_owners.TryGetValue(key, out FsLockOwner? holder))
            {
                if (change.Type == FileLocks.F_UNLCK)
                {
                    return 0;
                }

                int refused = _owners.Count < maxOwners ? Open(key, file.Fd, handle, out holder) : -Errno.ENOLCK;
                if (refused != 0)
                {
                    return refused;
                }
            }

            int error = change.Type == FileLocks.F_WRLCK && !holder!.CanWrite && MayWrite(handle) ? MakeWritable(holder, file.Fd) : 0;
            error = error != 0 ? error
                : holder!.Ranges.Plan(change) > holder.Ranges.Count + MaxRanges - _ranges ? -Errno.ENOLCK
                : FileLocks.Set(holder.Descriptor.Value, change.Type, change.Start, change.End);
            if (error == 0)
            {
                Commit(holder!, handle, process);
            }

            if (error == -Errno.EAGAIN && waits)
            {
                // The owner stays, with nothing if need be, because the wait is for its descriptor.
                wait = new FsLockWait(holder!.Descriptor, change, isWhole: false);
            }
            else if (holder!.Ranges.Count == 0)
            {
                Remove(holder);
            }

            return error;
        }
    }

    /// <summary>Takes, changes or gives back a handle's lock of the whole file. Parameters and errors as with <see cref="Set"/>.</summary>
    public int SetWhole(in FileUse file, short type, bool waits, out FsLockWait? wait)
    {
        wait = null;
        lock (_lock)
        {
            int error = FileLocks.SetWhole(file.Fd, type);
            if (error is 0 or -Errno.EAGAIN)
            {
                // flock(2) has given up what the handle had before it looks for others.
                file.Handle!.Lock = error == 0 ? type : FileLocks.F_UNLCK;
            }

            if (error == -Errno.EAGAIN && waits)
            {
                wait = new FsLockWait(file.Handle!.Descriptor!, new FsLockRange(0, long.MaxValue, type), isWhole: true);
            }

            return error;
        }
    }

    /// <summary>Finds a lock that is in the way of one that an owner wants.</summary>
    /// <param name="range">What is wanted; afterwards what there is, as F_UNLCK if nothing is in the way.</param>
    /// <param name="process">The guest's number of the process that has it; 0: it is not the guest's.</param>
    public int Find(in FileUse file, ulong owner, ref FsLockRange range, out uint process)
    {
        process = 0;
        (long start, long end, short type) = range;
        ulong node = file.Handle!.Node;
        lock (_lock)
        {
            // A handle's own descriptor has no locks of ranges: whose are in its way are others'.
            int fd = _owners.TryGetValue(new FsLockKey(node, owner), out FsLockOwner? asking) ? asking.Descriptor.Value : file.Fd;
            int error = FileLocks.Find(fd, ref type, ref start, ref end);
            if (error != 0)
            {
                return error;
            }

            range = type == FileLocks.F_UNLCK ? range with { Type = type } : new FsLockRange(start, end, type);
            foreach (FsLockOwner holder in _owners.Values)
            {
                if (type != FileLocks.F_UNLCK && holder.Key.Node == node && !ReferenceEquals(holder, asking) && holder.Ranges.All.Contains(range))
                {
                    process = holder.Process;
                }
            }

            return 0;
        }
    }

    /// <summary>Gives back all ranges of an owner, as a close by it does.</summary>
    public void Release(ulong node, ulong owner)
    {
        lock (_lock)
        {
            if (_owners.TryGetValue(new FsLockKey(node, owner), out FsLockOwner? holder))
            {
                Remove(holder);
            }
        }
    }

    /// <summary>Gives back what was locked through a handle. Somebody who waits for its descriptor may keep that open for a while.</summary>
    public void Release(FsHandle handle)
    {
        lock (_lock)
        {
            ReleaseWhole(handle);
            foreach (FsLockOwner holder in _owners.Values)
            {
                if (holder.Handle == handle.Id)
                {
                    Remove(holder);
                }
            }
        }
    }

    /// <summary>Gives everything back, and forgets it.</summary>
    public void Clear(IEnumerable<FsHandle> handles)
    {
        lock (_lock)
        {
            foreach (FsHandle handle in handles)
            {
                ReleaseWhole(handle);
            }

            foreach (FsLockOwner holder in _owners.Values)
            {
                Remove(holder);
            }
        }
    }

    /// <summary>Gives everything back, and remembers it for <see cref="TakeAgain"/>.</summary>
    public void LetGo(IEnumerable<FsHandle> handles)
    {
        lock (_lock)
        {
            foreach (FsHandle handle in handles)
            {
                if (handle is { Lock: not FileLocks.F_UNLCK, Descriptor: { } descriptor })
                {
                    FileLocks.SetWhole(descriptor.Value, FileLocks.F_UNLCK);
                }
            }

            foreach (FsLockOwner holder in _owners.Values)
            {
                FileLocks.Set(holder.Descriptor.Value, FileLocks.F_UNLCK, 0, long.MaxValue);
            }
        }
    }

    /// <summary>Takes everything that was let go; what is held already stays.</summary>
    /// <param name="obstacle">A descriptor of the file that somebody else has locked.</param>
    /// <returns>0, or minus the error number of the first that could not be taken.</returns>
    public int TakeAgain(IEnumerable<FsHandle> handles, out int obstacle)
    {
        lock (_lock)
        {
            foreach (FsHandle handle in handles)
            {
                if (handle is { Lock: not FileLocks.F_UNLCK, Descriptor: { } descriptor } && FileLocks.SetWhole(descriptor.Value, handle.Lock) is < 0 and var error)
                {
                    obstacle = descriptor.Value;
                    return error;
                }
            }

            foreach (FsLockOwner holder in _owners.Values)
            {
                foreach (FsLockRange range in holder.Ranges.All)
                {
                    obstacle = holder.Descriptor.Value;
                    if (FileLocks.Set(obstacle, range.Type, range.Start, range.End) is < 0 and var error)
                    {
                        return error;
                    }
                }
            }

            obstacle = -1;
            return 0;
        }
    }

    /// <summary>Remembers a range that the guest has, for <see cref="TakeAgain"/>.</summary>
    /// <returns>0 or minus the error number.</returns>
    public int Add(FsHandle handle, ulong owner, in FsLockRange range, uint process)
    {
        lock (_lock)
        {
            var key = new FsLockKey(handle.Node, owner);
            int fd = handle.Descriptor!.Value;
            int error = _owners.TryGetValue(key, out FsLockOwner? holder) ? 0 : Open(key, fd, handle, out holder);
            error = error == 0 && range.Type == FileLocks.F_WRLCK && !holder!.CanWrite ? MakeWritable(holder, fd) : error;
            if (error == 0)
            {
                holder!.Ranges.Plan(range);
                Commit(holder, handle, process);
            }

            return error;
        }
    }

    /// <summary>What there is, by node, owner and range; then whole files, by handle. Nothing changes.</summary>
    public FsLockState[] Save(IEnumerable<FsHandle> handles)
    {
        lock (_lock)
        {
            List<FsLockState> all = [];
            foreach (FsLockOwner holder in _owners.Values.OrderBy(o => o.Key.Node).ThenBy(o => o.Key.Owner))
            {
                foreach (FsLockRange range in holder.Ranges.All)
                {
                    all.Add(new FsLockState
                    {
                        Handle = holder.Handle, Owner = holder.Key.Owner, Start = (ulong)range.Start, End = (ulong)range.End,
                        IsExclusive = range.Type == FileLocks.F_WRLCK, IsWhole = false, Process = holder.Process,
                    });
                }
            }

            all.AddRange(
                from handle in handles
                where handle.Lock != FileLocks.F_UNLCK
                orderby handle.Id
                select new FsLockState
                {
                    Handle = handle.Id, Owner = 0, Start = 0, End = long.MaxValue, IsExclusive = handle.Lock == FileLocks.F_WRLCK, IsWhole = true, Process = 0,
                });
            return [.. all];
        }
    }

    private static bool MayWrite(FsHandle handle) => ((int)handle.Flags & FileCalls.O_ACCMODE) != Libc.O_RDONLY;

    private static void ReleaseWhole(FsHandle handle)
    {
        if (handle is { Lock: not FileLocks.F_UNLCK, Descriptor: { } descriptor })
        {
            FileLocks.SetWhole(descriptor.Value, FileLocks.F_UNLCK);
            handle.Lock = FileLocks.F_UNLCK;
        }
    }

    /// <summary>Opens a file once more, for an owner.</summary>
    private int Open(FsLockKey key, int fd, FsHandle handle, out FsLockOwner? holder)
    {
        // Not for writing unless the guest has it so: a program could not be started meanwhile. Whoever writes may want to lock for reading
        // too, which a file that cannot be read does not allow.
        bool canWrite = MayWrite(handle);
        int file = Open(fd, canWrite ? Libc.O_RDWR : Libc.O_RDONLY);
        file = file == -Errno.EACCES ? Open(fd, (int)handle.Flags & FileCalls.O_ACCMODE) : file;
        holder = file < 0 ? null : new FsLockOwner(key, handle.Id, new FileDescriptor(file), canWrite);
        if (holder is not null)
        {
            _owners.Add(key, holder);
        }

        return file < 0 ? -Errno.ENOLCK : 0;
    }

    /// <summary>Changes an owner's descriptor for one that may write. What it has is shared locks, which the new one gets before the old loses them.</summary>
    private int MakeWritable(FsLockOwner holder, int fd)
    {
        int file = Open(fd, Libc.O_RDWR);
        if (file < 0)
        {
            return -Errno.ENOLCK;
        }

        var writable = new FileDescriptor(file);
        foreach (FsLockRange range in holder.Ranges.All)
        {
            if (FileLocks.Set(file, range.Type, range.Start, range.End) is < 0 and var error)
            {
                writable.Dispose();
                return error;
            }
        }

        FileLocks.Set(holder.Descriptor.Value, FileLocks.F_UNLCK, 0, long.MaxValue);
        holder.Descriptor.Dispose();
        holder.Descriptor = writable;
        holder.CanWrite = true;
        return 0;
    }

    private int Open(int fd, int access)
    {
        byte* name = stackalloc byte[16];
        SharedFolder.FormatNumber(fd, name);
        return FileCalls.OpenAt(folder.Descriptors, name, access | Libc.O_CLOEXEC, 0);
    }

    private void Commit(FsLockOwner holder, FsHandle handle, uint process)
    {
        _ranges -= holder.Ranges.Count;
        holder.Ranges.Commit();
        _ranges += holder.Ranges.Count;
        holder.Handle = handle.Id;
        holder.Process = process;
    }

    private void Remove(FsLockOwner holder)
    {
        // Closing would do, if nobody waited for the descriptor at this moment.
        FileLocks.Set(holder.Descriptor.Value, FileLocks.F_UNLCK, 0, long.MaxValue);
        holder.Descriptor.Dispose();
        _owners.Remove(holder.Key);
        _ranges -= holder.Ranges.Count;
    }
}
