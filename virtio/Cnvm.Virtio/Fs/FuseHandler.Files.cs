using Cnvm.Linux;
using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Fs;

/// <content>Open files.</content>
internal sealed unsafe partial class FuseHandler
{
    private const uint PermissionBits = 0xfff;

    /// <summary>O_SYNC with O_DSYNC, which is a part of it.</summary>
    private const int SynchronousFlags = 0x101000;

    /// <summary>Bytes that one COPY_FILE_RANGE moves at most: the thread serves others too.</summary>
    private const ulong MaxCopy = 64 << 20;
    private const int SeekSet = 0;
    private const int SeekHole = 4;

    /// <summary>
    /// The flags with which a file is really opened: what the guest's kernel does itself (O_DIRECT, O_NOATIME...) stays away.
    /// </summary>
    /// <returns>Minus EROFS if a read-only folder would be written.</returns>
    public static int OpenFlags(int flags, bool isReadOnly)
    {
        flags &= FileCalls.O_ACCMODE | FileCalls.O_APPEND | Libc.O_TRUNC | SynchronousFlags;
        bool writes = (flags & FileCalls.O_ACCMODE) != Libc.O_RDONLY || (flags & Libc.O_TRUNC) != 0;
        return writes && isReadOnly ? -Errno.EROFS : flags | Libc.O_CLOEXEC;
    }

    private int OpenFlags(uint flags)
    {
        int result = OpenFlags((int)flags, _folder.IsReadOnly);
        if (result >= 0 && (_folder.Flags & FuseAbi.FUSE_WRITEBACK_CACHE) != 0)
        {
            // The guest's cache fills pages that it writes a part of, and knows itself where the end is.
            result &= ~FileCalls.O_APPEND;
            result = (result & FileCalls.O_ACCMODE) == Libc.O_WRONLY ? (result & ~FileCalls.O_ACCMODE) | Libc.O_RDWR : result;
        }

        return result;
    }

    private uint Open(in fuse_in_header header, FuseArguments arguments, bool isDirectory)
    {
        if (!arguments.TryRead(out fuse_open_in request))
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse node = _folder.UseNode(header.nodeid);
        fuse_open_out opened = default;
        int error = node.Error != 0 ? node.Error : OpenNode(node, header.nodeid, request.flags, isDirectory, out opened);
        return error < 0 ? Fail(error) : Answer(opened);
    }

    /// <summary>Opens what a node stands for: a regular file or a directory, as others do things of their own when they are opened.</summary>
    private int OpenNode(in FileUse node, ulong id, uint guestFlags, bool isDirectory, out fuse_open_out opened)
    {
        opened = default;
        if (isDirectory != (node.Type == FileCalls.S_IFDIR))
        {
            return isDirectory ? -Errno.ENOTDIR : -Errno.EISDIR;
        }

        if (!isDirectory && node.Type != FileCalls.S_IFREG)
        {
            return node.Type == FileCalls.S_IFLNK ? -Errno.ELOOP : -Errno.ENXIO;
        }

        int flags = isDirectory ? Libc.O_RDONLY | Libc.O_CLOEXEC | FileCalls.O_DIRECTORY : OpenFlags(guestFlags);
        if (flags < 0)
        {
            return flags;
        }

        int fd = FileCalls.OpenAt(_folder.Descriptors, DescriptorName(node.Fd), flags, 0);
        return fd < 0 ? fd : AddHandle(fd, id, flags, isDirectory, out opened);
    }

    private int AddHandle(int fd, ulong node, int flags, bool isDirectory, out fuse_open_out opened)
    {
        opened = default;
        opened.fh = _folder.AddHandle(fd, node, flags, isDirectory);
        opened.open_flags = _folder.Cache switch
        {
            FsCacheMode.None => isDirectory ? 0 : FuseAbi.FOPEN_DIRECT_IO,
            FsCacheMode.Always => isDirectory ? FuseAbi.FOPEN_KEEP_CACHE | FuseAbi.FOPEN_CACHE_DIR : FuseAbi.FOPEN_KEEP_CACHE,
            _ => 0,
        };
        return opened.fh == 0 ? -Errno.ENFILE : 0;
    }

    private uint Create(in fuse_in_header header, FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_create_in request))
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse parent = _folder.UseNode(header.nodeid);
        int error = LoadName(parent, ref arguments, out byte* name);
        if (error < 0)
        {
            return Fail(error);
        }

        // Made or not at all: what is there already may be anything, and is opened as a node of its kind.
        int flags = OpenFlags(request.flags);
        int fd = BecomeCaller(header);
        fd = fd < 0 ? fd : FileCalls.OpenAt(
            parent.Fd, name, flags | Libc.O_CREAT | Libc.O_EXCL | FileCalls.O_NOFOLLOW, request.mode & PermissionBits);
        FileCaller.Become(0, 0);
        fuse_entry_out entry = default;
        fuse_open_out opened = default;
        if (fd >= 0)
        {
            error = AddOpened(fd, flags, out entry, out opened);
        }
        else if (fd == -Errno.EEXIST && ((int)request.flags & Libc.O_EXCL) == 0)
        {
            error = OpenExisting(parent.Fd, name, request.flags, out entry, out opened);
        }
        else
        {
            error = fd;
        }

        return error < 0 ? Fail(error) : AnswerCreated(entry, opened);
    }

    private uint CreateNameless(in fuse_in_header header, FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_create_in request))
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse parent = _folder.UseNode(header.nodeid);
        if (parent.Error != 0 || parent.Type != FileCalls.S_IFDIR)
        {
            return Fail(parent.Error != 0 ? parent.Error : -Errno.ENOTDIR);
        }

        int flags = (OpenFlags(request.flags) & ~FileCalls.O_ACCMODE) | Libc.O_RDWR;
        int fd = BecomeCaller(header);
        fd = fd < 0 ? fd : FileCalls.OpenAt(_folder.Descriptors, DescriptorName(parent.Fd), flags | FileCalls.O_TMPFILE, request.mode & PermissionBits);
        FileCaller.Become(0, 0);
        fuse_entry_out entry = default;
        fuse_open_out opened = default;
        int error = fd < 0 ? fd : AddOpened(fd, flags, out entry, out opened);
        return error < 0 ? Fail(error) : AnswerCreated(entry, opened);
    }

    /// <summary>Makes an open file a node and a handle, and takes it over.</summary>
    private int AddOpened(int fd, int flags, out fuse_entry_out entry, out fuse_open_out opened)
    {
        entry = default;
        opened = default;
        stat status = default;
        int path = FileCalls.OpenAt(_folder.Descriptors, DescriptorName(fd), FileCalls.O_PATH | Libc.O_CLOEXEC, 0);
        int error = path < 0 ? path : AddNode(path, &status, out entry.nodeid);
        if (error < 0)
        {
            FileCalls.Close(fd);
            return error;
        }

        FillEntry(entry.nodeid, status, out entry);
        error = AddHandle(fd, entry.nodeid, flags, isDirectory: false, out opened);
        if (error < 0)
        {
            _folder.Forget(entry.nodeid, 1);
        }

        return error;
    }

    private int OpenExisting(int directory, byte* name, uint flags, out fuse_entry_out entry, out fuse_open_out opened)
    {
        opened = default;
        int error = FindEntry(directory, name, out entry);
        if (error < 0)
        {
            return error;
        }

        using FileUse node = _folder.UseNode(entry.nodeid);
        error = node.Error != 0 ? node.Error : OpenNode(node, entry.nodeid, flags, isDirectory: false, out opened);
        if (error < 0)
        {
            _folder.Forget(entry.nodeid, 1);
        }

        return error;
    }

    private uint AnswerCreated(in fuse_entry_out entry, in fuse_open_out opened) => Answer(new CreateAnswer { Entry = entry, Opened = opened });

    private uint Read(FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_read_in request) || request.offset > long.MaxValue)
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse file = _folder.UseHandle(request.fh, isDirectory: false);
        if (file.Error != 0)
        {
            return Fail(file.Error);
        }

        if (_chain.WritableBytes < ReplyHeaderBytes)
        {
            return Drop("a read without room for its answer");
        }

        uint size = Math.Min(Math.Min(request.size, _chain.WritableBytes - ReplyHeaderBytes), MaxTransfer);
        // SAFETY: a slice has at most as many vectors as the chain, which has at most IoVec.MaxCount.
        int count = _chain.SliceWritable(ReplyHeaderBytes, size, _vectors);
        long done = FileCalls.Read(file.Fd, _vectors, count, (long)request.offset);
        if (done < 0)
        {
            return Fail((int)done);
        }

        Volatile.Write(ref _readOps, _readOps + 1);
        Volatile.Write(ref _readBytes, _readBytes + (ulong)done);
        PutHeader(ReplyHeaderBytes + (uint)done, 0, out _);
        return ReplyHeaderBytes + (uint)done;
    }

    private uint Write(FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_write_in request) || request.size > arguments.Remaining || request.size > MaxTransfer
            || request.offset > long.MaxValue)
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse file = _folder.UseHandle(request.fh, isDirectory: false);
        if (file.Error != 0)
        {
            return Fail(file.Error);
        }

        // SAFETY: as in Read.
        int count = _chain.SliceReadable(HeaderBytes + (uint)sizeof(fuse_write_in), request.size, _vectors);
        long done = FileCalls.Write(file.Fd, _vectors, count, (long)request.offset);
        if (done < 0)
        {
            return Fail((int)done);
        }

        Volatile.Write(ref _writeOps, _writeOps + 1);
        Volatile.Write(ref _writeBytes, _writeBytes + (ulong)done);
        return Answer(new fuse_write_out { size = (uint)done });
    }

    private uint Release(FuseArguments arguments) => !arguments.TryRead(out fuse_release_in request) ? Fail(-Errno.EINVAL)
        : _folder.RemoveHandle(request.fh) ? Answer()
        : Fail(-Errno.EBADF);

    private uint Flush(FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_flush_in request))
        {
            return Fail(-Errno.EINVAL);
        }

        // The guest's kernel has written before: on a local file system nothing is left to do but for the locks that a close gives back.
        using FileUse file = _folder.UseHandle(request.fh, isDirectory: false);
        if (file.Handle is { } handle && _folder.SharesLocks)
        {
            _folder.Locks.Release(handle.Node, request.lock_owner);
        }

        return Finish(file.Error);
    }

    private uint Synchronise(FuseArguments arguments, bool isDirectory)
    {
        if (!arguments.TryRead(out fuse_fsync_in request))
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse file = _folder.UseHandle(request.fh, isDirectory);
        return Finish(file.Error != 0 ? file.Error : FileCalls.Sync(file.Fd, (request.fsync_flags & FuseAbi.FUSE_FSYNC_FDATASYNC) != 0));
    }

    private uint SynchroniseAll(in fuse_in_header header)
    {
        using FileUse node = _folder.UseNode(header.nodeid);
        if (node.Error != 0 || node.Type != FileCalls.S_IFDIR)
        {
            return Fail(node.Error != 0 ? node.Error : -Errno.EINVAL);
        }

        int fd = FileCalls.OpenAt(_folder.Descriptors, DescriptorName(node.Fd), Libc.O_RDONLY | FileCalls.O_DIRECTORY | Libc.O_CLOEXEC, 0);
        if (fd < 0)
        {
            return Fail(fd);
        }

        int error = FileCalls.SyncFileSystem(fd);
        FileCalls.Close(fd);
        return Finish(error);
    }

    private uint Allocate(FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_fallocate_in request) || request.offset > long.MaxValue || request.length > long.MaxValue)
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse file = _folder.UseHandle(request.fh, isDirectory: false);
        return Finish(
            file.Error != 0 ? file.Error : FileCalls.Allocate(file.Fd, (int)request.mode, (long)request.offset, (long)request.length));
    }

    private uint Seek(FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_lseek_in request) || request.whence is < SeekSet or > SeekHole)
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse file = _folder.UseHandle(request.fh, isDirectory: false);
        long offset = file.Error != 0 ? file.Error : FileCalls.Seek(file.Fd, (long)request.offset, (int)request.whence);
        return offset < 0 ? Fail((int)offset) : Answer(new fuse_lseek_out { offset = (ulong)offset });
    }

    private uint CopyRange(FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_copy_file_range_in request) || request.flags != 0
            || request.off_in > long.MaxValue || request.off_out > long.MaxValue)
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse from = _folder.UseHandle(request.fh_in, isDirectory: false);
        using FileUse to = _folder.UseHandle(request.fh_out, isDirectory: false);
        long done = from.Error != 0 ? from.Error : to.Error != 0 ? to.Error
            : FileCalls.CopyRange(from.Fd, (long)request.off_in, to.Fd, (long)request.off_out, (nuint)Math.Min(request.len, MaxCopy));
        return done < 0 ? Fail((int)done) : Answer(new fuse_write_out { size = (uint)done });
    }
}
