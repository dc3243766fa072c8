using Cnvm.Linux;
using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Fs;

/// <content>Locks that the guest shares with the host's processes.</content>
internal sealed unsafe partial class FuseHandler
{
    private FsLockWait? _wait;

    /// <summary>All waits of the device.</summary>
    public FsLockWaits Waits => _folder.Waits;

    /// <summary>
    /// The wait that the last request is not answered before, if it is one: the same buffer is handled again after it. To be started or given up.
    /// </summary>
    public FsLockWait? TakeWait()
    {
        FsLockWait? wait = _wait;
        _wait = null;
        return wait;
    }

    /// <summary>Answers a request with nothing but an error.</summary>
    /// <param name="error">Minus the error number.</param>
    /// <returns>Bytes written at the start of the chain's writable part.</returns>
    public uint Refuse(DescriptorChain chain, ulong unique, int error)
    {
        _chain = chain;
        _unique = unique;
        return Fail(error);
    }

    private static bool TryGetRange(in fuse_lk_in request, out FsLockRange range)
    {
        range = new FsLockRange((long)request.lk.start, (long)request.lk.end, (short)request.lk.type);
        return request.lk.start <= request.lk.end && request.lk.end <= long.MaxValue && request.lk.type <= FileLocks.F_UNLCK
            && request.lk_flags is 0 or FuseAbi.FUSE_LK_FLOCK;
    }

    private bool Shares(in fuse_lk_in request) =>
        (_folder.Flags & (request.lk_flags == FuseAbi.FUSE_LK_FLOCK ? FuseAbi.FUSE_FLOCK_LOCKS : FuseAbi.FUSE_POSIX_LOCKS)) != 0;

    private uint GetLock(FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_lk_in request) || !TryGetRange(request, out FsLockRange range)
            || request.lk_flags != 0 || range.Type == FileLocks.F_UNLCK)
        {
            return Fail(-Errno.EINVAL);
        }

        if (!Shares(request))
        {
            return Fail(-Errno.ENOSYS);
        }

        using FileUse file = _folder.UseHandle(request.fh, isDirectory: false);
        uint process = 0;
        int error = file.Error != 0 ? file.Error : _folder.Locks.Find(file, request.owner, ref range, out process);
        return error < 0 ? Fail(error) : Answer(new fuse_lk_out
        {
            lk = new fuse_file_lock { start = (ulong)range.Start, end = (ulong)range.End, type = (uint)range.Type, pid = process },
        });
    }

    private uint SetLock(FuseArguments arguments, bool waits)
    {
        if (!arguments.TryRead(out fuse_lk_in request) || !TryGetRange(request, out FsLockRange range))
        {
            return Fail(-Errno.EINVAL);
        }

        if (!Shares(request))
        {
            return Fail(-Errno.ENOSYS);
        }

        using FileUse file = _folder.UseHandle(request.fh, isDirectory: false);
        if (file.Error != 0)
        {
            return Fail(file.Error);
        }

        int error = request.lk_flags == FuseAbi.FUSE_LK_FLOCK
            ? _folder.Locks.SetWhole(file, range.Type, waits, out _wait)
            : _folder.Locks.Set(file, request.owner, range, request.lk.pid, waits, out _wait);
        if (_wait is not null)
        {
            _wait.Unique = _unique;
            return 0;
        }

        return Finish(error);
    }

    private uint Interrupt(FuseArguments arguments)
    {
        // Nothing else that is served here waits for long. Interrupts have no answer.
        if (arguments.TryRead(out fuse_interrupt_in request))
        {
            _folder.Waits.Interrupt(request.unique);
        }

        return 0;
    }
}
