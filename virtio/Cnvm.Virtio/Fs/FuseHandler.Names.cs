using Cnvm.Linux;
using Cnvm.Linux.Fuse;

namespace Cnvm.Virtio.Fs;

/// <content>Entries of directories: looked up, made, renamed, removed.</content>
internal sealed unsafe partial class FuseHandler
{
    private uint LookUp(in fuse_in_header header, FuseArguments arguments)
    {
        using FileUse parent = _folder.UseNode(header.nodeid);
        int error = LoadName(parent, ref arguments, out byte* name);
        fuse_entry_out entry = default;
        error = error < 0 ? error : FindEntry(parent.Fd, name, out entry);
        return error < 0 ? Fail(error) : Answer(entry);
    }

    /// <summary>Finds a name in a directory and counts the lookup.</summary>
    private int FindEntry(int directory, byte* name, out fuse_entry_out entry)
    {
        entry = default;
        stat status;
        int error = FileCalls.StatAt(directory, name, &status);
        if (error < 0)
        {
            return error;
        }

        ulong node = _folder.TryCount(status);
        if (node == 0)
        {
            int fd = FileCalls.OpenAt(directory, name, FileCalls.O_PATH | FileCalls.O_NOFOLLOW | Libc.O_CLOEXEC, 0);
            error = fd < 0 ? fd : AddNode(fd, &status, out node);
            if (error < 0)
            {
                return error;
            }
        }

        FillEntry(node, status, out entry);
        return 0;
    }

    /// <summary>Makes a descriptor with O_PATH a node, and takes it over.</summary>
    private int AddNode(int fd, stat* status, out ulong node)
    {
        // Asked again of the descriptor itself: the name may have come to mean another file meanwhile.
        node = 0;
        int error = FileCalls.Stat(fd, status);
        if (error < 0)
        {
            FileCalls.Close(fd);
            return error;
        }

        node = _folder.Add(fd, *status);
        return node == 0 ? -Errno.ENFILE : 0;
    }

    private void FillEntry(ulong node, in stat status, out fuse_entry_out entry)
    {
        entry = default;
        entry.nodeid = node;
        entry.entry_valid = _validSeconds;
        entry.attr_valid = _validSeconds;
        Fill(status, out entry.attr);
    }

    /// <summary>MKDIR, MKNOD and SYMLINK.</summary>
    private uint Make(in fuse_in_header header, FuseArguments arguments)
    {
        using FileUse parent = _folder.UseNode(header.nodeid);
        fuse_mkdir_in directory = default;
        fuse_mknod_in special = default;
        if ((header.opcode == FuseAbi.FUSE_MKDIR && !arguments.TryRead(out directory))
            || (header.opcode == FuseAbi.FUSE_MKNOD && !arguments.TryRead(out special)))
        {
            return Fail(-Errno.EINVAL);
        }

        int error = LoadName(parent, ref arguments, out byte* name);
        byte* target = null;
        if (error == 0 && header.opcode == FuseAbi.FUSE_SYMLINK)
        {
            error = Math.Min(TakeText(out target), 0);
        }

        if (error < 0)
        {
            return Fail(error);
        }

        error = BecomeCaller(header);
        error = error < 0 ? error : header.opcode switch
        {
            FuseAbi.FUSE_MKDIR => FileCalls.MakeDirectoryAt(parent.Fd, name, directory.mode & PermissionBits),
            FuseAbi.FUSE_MKNOD => MakeNode(parent.Fd, name, special),
            _ => FileCalls.MakeSymbolicLinkAt(target, parent.Fd, name),
        };
        FileCaller.Become(0, 0);
        fuse_entry_out entry = default;
        error = error < 0 ? error : FindEntry(parent.Fd, name, out entry);
        return error < 0 ? Fail(error) : Answer(entry);
    }

    /// <summary>
    /// A guest's root is not the host's: it gets no device nodes, through which whoever reaches the folder on the host would reach devices.
    /// The one exception, a character device 0:0, is no device but how overlay file systems mark removed files.
    /// </summary>
    private static int MakeNode(int directory, byte* name, in fuse_mknod_in request)
    {
        uint type = request.mode & FileCalls.S_IFMT;
        bool isAllowed = type is FileCalls.S_IFREG or FileCalls.S_IFIFO or FileCalls.S_IFSOCK or 0
            || (type == FileCalls.S_IFCHR && request.rdev == 0);
        return isAllowed ? FileCalls.MakeNodeAt(directory, name, request.mode & (FileCalls.S_IFMT | PermissionBits), 0) : -Errno.EPERM;
    }

    private uint Unlink(in fuse_in_header header, FuseArguments arguments, int flags)
    {
        using FileUse parent = _folder.UseNode(header.nodeid);
        int error = LoadName(parent, ref arguments, out byte* name);
        return Finish(error < 0 ? error : FileCalls.UnlinkAt(parent.Fd, name, flags));
    }

    private uint Rename(in fuse_in_header header, FuseArguments arguments)
    {
        fuse_rename2_in request = default;
        if (header.opcode == FuseAbi.FUSE_RENAME2)
        {
            if (!arguments.TryRead(out request))
            {
                return Fail(-Errno.EINVAL);
            }
        }
        else if (!arguments.TryRead(out request.newdir))
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse from = _folder.UseNode(header.nodeid);
        using FileUse to = _folder.UseNode(request.newdir);
        int error = LoadName(from, ref arguments, out byte* name);
        byte* newName = null;
        error = error < 0 ? error : to.Error != 0 ? to.Error : TakeName(out newName);
        return Finish(error < 0 ? error : FileCalls.RenameAt(from.Fd, name, to.Fd, newName, request.flags));
    }

    private uint Link(in fuse_in_header header, FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_link_in request))
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse parent = _folder.UseNode(header.nodeid);
        using FileUse file = _folder.UseNode(request.oldnodeid);
        int error = LoadName(parent, ref arguments, out byte* name);
        error = error < 0 ? error : file.Error != 0 ? file.Error : FileCalls.LinkAt(_folder.Descriptors, DescriptorName(file.Fd), parent.Fd, name);
        fuse_entry_out entry = default;
        error = error < 0 ? error : FindEntry(parent.Fd, name, out entry);
        return error < 0 ? Fail(error) : Answer(entry);
    }

    private uint ReadLink(in fuse_in_header header)
    {
        using FileUse node = _folder.UseNode(header.nodeid);
        int length = node.Error != 0 ? node.Error
            : node.Type != FileCalls.S_IFLNK ? -Errno.EINVAL
            : FileCalls.ReadLink(node.Fd, _buffer, PageBytes);
        return length < 0 ? Fail(length) : Reply(0, new ReadOnlySpan<byte>(_buffer, length));
    }
}
