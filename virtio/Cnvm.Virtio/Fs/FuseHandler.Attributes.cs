using Cnvm.Linux;
using Cnvm.Linux.Fuse;

namespace Cnvm.Virtio.Fs;

/// <content>Attributes of files and of the file system.</content>
internal sealed unsafe partial class FuseHandler
{
    private const int MaxExtendedValue = 64 * 1024;
    private const uint MayRead = 4;
    private const uint MayExecute = 1;
    private const uint AnyExecute = 0x49;

    private void Fill(in stat status, out fuse_attr attributes)
    {
        attributes = default;
        attributes.ino = status.st_ino;
        attributes.size = (ulong)status.st_size;
        attributes.blocks = (ulong)status.st_blocks;
        attributes.atime = (ulong)status.st_atim.tv_sec;
        attributes.mtime = (ulong)status.st_mtim.tv_sec;
        attributes.ctime = (ulong)status.st_ctim.tv_sec;
        attributes.atimensec = (uint)status.st_atim.tv_nsec;
        attributes.mtimensec = (uint)status.st_mtim.tv_nsec;
        attributes.ctimensec = (uint)status.st_ctim.tv_nsec;
        attributes.mode = status.st_mode;
        attributes.nlink = (uint)status.st_nlink;
        attributes.uid = _folder.Users.ToGuest(status.st_uid);
        attributes.gid = _folder.Groups.ToGuest(status.st_gid);
        attributes.rdev = (uint)status.st_rdev;
        attributes.blksize = (uint)status.st_blksize;
    }

    /// <summary>What this thread makes belongs to who asks, until it is root again.</summary>
    /// <returns>0, or minus EOVERFLOW for a caller who has no number on the host: may_o_create() of a user namespace says so too.</returns>
    private int BecomeCaller(in fuse_in_header header)
    {
        if (!_folder.Users.TryToHost(header.uid, out uint user) || !_folder.Groups.TryToHost(header.gid, out uint group))
        {
            return -Errno.EOVERFLOW;
        }

        FileCaller.Become(user, group);
        return 0;
    }

    private uint GetAttributes(in fuse_in_header header)
    {
        using FileUse node = _folder.UseNode(header.nodeid);
        return node.Error != 0 ? Fail(node.Error) : AnswerAttributes(node.Fd);
    }

    private uint AnswerAttributes(int fd)
    {
        stat status;
        int error = FileCalls.Stat(fd, &status);
        if (error < 0)
        {
            return Fail(error);
        }

        fuse_attr_out answer = default;
        answer.attr_valid = _validSeconds;
        Fill(status, out answer.attr);
        return Answer(answer);
    }

    private uint SetAttributes(in fuse_in_header header, FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_setattr_in request))
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse node = _folder.UseNode(header.nodeid);
        int error = node.Error;

        // The owner first: changing it takes set-user-id bits away, which the new mode may have.
        if (error == 0 && (request.valid & (FuseAbi.FATTR_UID | FuseAbi.FATTR_GID)) != 0)
        {
            uint user = uint.MaxValue;
            uint group = uint.MaxValue;
            bool exist = ((request.valid & FuseAbi.FATTR_UID) == 0 || _folder.Users.TryToHost(request.uid, out user))
                && ((request.valid & FuseAbi.FATTR_GID) == 0 || _folder.Groups.TryToHost(request.gid, out group));
            error = exist ? FileCalls.ChangeOwner(node.Fd, user, group) : -Errno.EINVAL;
        }

        if (error == 0 && (request.valid & FuseAbi.FATTR_MODE) != 0)
        {
            error = node.Type == FileCalls.S_IFLNK
                ? -Errno.EOPNOTSUPP
                : FileCalls.ChangeModeAt(_folder.Descriptors, DescriptorName(node.Fd), request.mode & PermissionBits);
        }

        if (error == 0 && (request.valid & FuseAbi.FATTR_SIZE) != 0)
        {
            error = Truncate(node, request);
        }

        const uint Times = FuseAbi.FATTR_ATIME | FuseAbi.FATTR_MTIME;
        if (error == 0 && (request.valid & Times) != 0)
        {
            timespec* times = stackalloc timespec[2];
            times[0] = Time(request.valid, FuseAbi.FATTR_ATIME, FuseAbi.FATTR_ATIME_NOW, request.atime, request.atimensec);
            times[1] = Time(request.valid, FuseAbi.FATTR_MTIME, FuseAbi.FATTR_MTIME_NOW, request.mtime, request.mtimensec);
            error = FileCalls.ChangeTimes(node.Fd, times);
        }

        return error < 0 ? Fail(error) : AnswerAttributes(node.Fd);
    }

    private int Truncate(in FileUse node, in fuse_setattr_in request)
    {
        if (request.size > long.MaxValue || node.Type != FileCalls.S_IFREG)
        {
            return -Errno.EINVAL;
        }

        if ((request.valid & FuseAbi.FATTR_FH) != 0)
        {
            using FileUse file = _folder.UseHandle(request.fh, isDirectory: false);
            return file.Error != 0 ? file.Error : FileCalls.Truncate(file.Fd, (long)request.size);
        }

        int fd = FileCalls.OpenAt(_folder.Descriptors, DescriptorName(node.Fd), Libc.O_WRONLY | Libc.O_CLOEXEC, 0);
        if (fd < 0)
        {
            return fd;
        }

        int error = FileCalls.Truncate(fd, (long)request.size);
        FileCalls.Close(fd);
        return error;
    }

    private static timespec Time(uint valid, uint given, uint now, ulong seconds, uint nanoseconds) => (valid & given) == 0
        ? new timespec { tv_nsec = FileCalls.UTIME_OMIT }
        : (valid & now) != 0 ? new timespec { tv_nsec = FileCalls.UTIME_NOW }
        : new timespec { tv_sec = (long)seconds, tv_nsec = nanoseconds };

    private uint GetFileSystem(in fuse_in_header header)
    {
        using FileUse node = _folder.UseNode(header.nodeid);
        statfs status = default;
        int error = node.Error != 0 ? node.Error : FileCalls.FileSystemStatus(node.Fd, &status);
        if (error < 0)
        {
            return Fail(error);
        }

        fuse_statfs_out answer = default;
        answer.st.blocks = status.f_blocks;
        answer.st.bfree = status.f_bfree;
        answer.st.bavail = status.f_bavail;
        answer.st.files = status.f_files;
        answer.st.ffree = status.f_ffree;
        answer.st.bsize = (uint)status.f_bsize;
        answer.st.namelen = (uint)status.f_namelen;
        answer.st.frsize = (uint)status.f_frsize;
        return Answer(answer);
    }

    /// <summary>By mode and owner alone, as the guest's kernel decides itself for everything else (default_permissions).</summary>
    private uint Access(in fuse_in_header header, FuseArguments arguments)
    {
        using FileUse node = _folder.UseNode(header.nodeid);
        stat status = default;
        int error = !arguments.TryRead(out fuse_access_in request) ? -Errno.EINVAL : node.Error != 0 ? node.Error : FileCalls.Stat(node.Fd, &status);
        if (error < 0)
        {
            return Fail(error);
        }

        const uint All = 7;
        uint allowed = header.uid == 0
            ? All & ~((status.st_mode & AnyExecute) != 0 || node.Type == FileCalls.S_IFDIR ? 0 : MayExecute)
            : status.st_mode >> (_folder.Users.TryToHost(header.uid, out uint user) && user == status.st_uid ? 6
                : _folder.Groups.TryToHost(header.gid, out uint group) && group == status.st_gid ? 3 : 0) & All;
        allowed &= _folder.IsReadOnly ? MayRead | MayExecute : All;
        return Finish((request.mask & All & ~allowed) == 0 ? 0 : -Errno.EACCES);
    }

    private uint SetExtended(in fuse_in_header header, FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_setxattr_in request))
        {
            return Fail(-Errno.EINVAL);
        }

        if (request.size > MaxExtendedValue || arguments.Remaining > MaxExtendedValue + PageBytes)
        {
            return Fail(-Errno.E2BIG);
        }

        // Name and value lie behind one another.
        int length = arguments.Read(new Span<byte>(_buffer, BufferBytes));
        int nameLength = new ReadOnlySpan<byte>(_buffer, length).IndexOf((byte)0);
        if (nameLength <= 0 || request.size > (uint)(length - nameLength - 1))
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse node = _folder.UseNode(header.nodeid);
        int error = node.Error != 0 ? node.Error : CheckExtended(new ReadOnlySpan<byte>(_buffer, nameLength));
        return Finish(
            error < 0 ? error : FileCalls.SetAttribute(
                DescriptorPath(node.Fd), _buffer, _buffer + nameLength + 1, (int)request.size, (int)request.flags));
    }

    /// <summary>
    /// What a guest may set: not the host's security labels, and not access control lists, which its kernel would not obey as no one told it
    /// of them.
    /// </summary>
    private static int CheckExtended(ReadOnlySpan<byte> name) =>
        name.StartsWith("user."u8) || name.StartsWith("trusted."u8) || name.SequenceEqual("security.capability"u8) ? 0 : -Errno.EOPNOTSUPP;

    private uint GetExtended(in fuse_in_header header, FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_getxattr_in request))
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse node = _folder.UseNode(header.nodeid);
        byte* name = null;
        int error = node.Error != 0 ? node.Error : LoadText(ref arguments);
        error = error < 0 ? error : Math.Min(TakeText(out name), 0);
        return error < 0 ? Fail(error) : AnswerExtended(
            FileCalls.GetAttribute(DescriptorPath(node.Fd), name, _buffer, (int)Math.Min(request.size, MaxExtendedValue)), request.size);
    }

    private uint ListExtended(in fuse_in_header header, FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_getxattr_in request))
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse node = _folder.UseNode(header.nodeid);
        return node.Error != 0 ? Fail(node.Error) : AnswerExtended(
            FileCalls.ListAttributes(DescriptorPath(node.Fd), _buffer, (int)Math.Min(request.size, MaxExtendedValue)), request.size);
    }

    /// <param name="result">Bytes, or minus the error number.</param>
    /// <param name="room">What the driver gave for them; 0 asks how many there are.</param>
    private uint AnswerExtended(int result, uint room) => result < 0 ? Fail(result)
        : room == 0 ? Answer(new fuse_getxattr_out { size = (uint)result })
        : Reply(0, new ReadOnlySpan<byte>(_buffer, result));

    private uint RemoveExtended(in fuse_in_header header, FuseArguments arguments)
    {
        using FileUse node = _folder.UseNode(header.nodeid);
        byte* name = null;
        int length = node.Error != 0 ? node.Error : LoadText(ref arguments);
        length = length < 0 ? length : TakeText(out name);
        int error = length < 0 ? length : CheckExtended(new ReadOnlySpan<byte>(name, length));
        return Finish(error < 0 ? error : FileCalls.RemoveAttribute(DescriptorPath(node.Fd), name));
    }
}
