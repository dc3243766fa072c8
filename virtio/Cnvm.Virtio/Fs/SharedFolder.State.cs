using System.Buffers.Text;
using Cnvm.Devices;
using Cnvm.Linux;

namespace Cnvm.Virtio.Fs;

/// <content>Saved state: descriptors become paths below the folder, and paths descriptors.</content>
internal sealed unsafe partial class SharedFolder
{
    private const int PathMax = 4096;
    private const int FileNameMax = 255;

    /// <summary>The state; nothing changes.</summary>
    /// <param name="waiting">Requests for locks that wait.</param>
    public FsState Save(string tag, params FsWaitState[] waiting)
    {
        lock (_lock)
        {
            byte[] folder = PathOf(_root.Value) ?? [];
            return new FsState
            {
                Tag = tag,
                Minor = _minor,
                Flags = _flags,
                RootDevice = _fileSystem,
                RootInode = _rootIdentity.Inode,
                NextNode = _nextNode,
                NextHandle = _nextHandle,
                Nodes =
                [
                    .. _nodes.Values.OrderBy(n => n.Id).Select(n => new FsNodeState
                    {
                        Id = n.Id, Lookups = n.Lookups, Type = n.Type, Device = n.Identity.Device, Inode = n.Identity.Inode,
                        Path = RelativePath(folder, n),
                    }),
                ],
                Handles =
                [
                    .. _handles.Values.OrderBy(h => h.Id)
                        .Select(h => new FsHandleState { Id = h.Id, Node = h.Node, Flags = h.Flags, IsDirectory = h.IsDirectory }),
                ],
                Locks = Locks.Save(_handles.Values) is var held && held.Length + waiting.Length > 0 ? new FsLocksState { Held = held, Waiting = waiting } : null,
            };
        }
    }

    /// <summary>Takes a state over.</summary>
    /// <returns>Files that are not there any more, or not the same; the driver gets ESTALE for them.</returns>
    /// <exception cref="DeviceStateException">
    /// It makes no sense, or has more than this device may hold, or somebody here has locked what the guest had locked: then nothing is left of it.
    /// </exception>
    public int Restore(FsState state)
    {
        Validate(state);
        Clear();
        lock (_lock)
        {
            int lost = 0;
            bool isSameFolder = state.RootDevice == _fileSystem && state.RootInode == _rootIdentity.Inode;
            foreach (FsNodeState saved in state.Nodes)
            {
                FsNode node = Find(saved, isSameFolder);
                lost += node.Descriptor is null ? 1 : 0;
                _nodes.Add(node.Id, node);
                if (node.Descriptor is not null)
                {
                    _byIdentity.TryAdd(node.Identity, node);
                }
            }

            foreach (FsHandleState saved in state.Handles)
            {
                FileDescriptor? file = Reopen(saved);
                _handles.Add(saved.Id, new FsHandle(saved.Id, saved.Node, saved.Flags, saved.IsDirectory, file));
            }

            _nextNode = state.NextNode;
            _nextHandle = state.NextHandle;
            _minor = state.Minor;
            _flags = state.Flags;
            if (state.Locks is { } locks)
            {
                RestoreLocks(locks);
            }

            return lost;
        }
    }

    private void Validate(FsState state)
    {
        // A folder that had a larger share where it was saved keeps what it has, and gets nothing more until it is below its share here.
        Require(state.Nodes.Length <= _maxRestored, nameof(state.Nodes), $"{state.Nodes.Length} are more than the {_maxRestored} that this host's limit of open files allows");
        Require(state.Handles.Length <= _maxRestored, nameof(state.Handles), $"{state.Handles.Length} are more than the {_maxRestored} that this host's limit of open files allows");
        ulong last = Cnvm.Linux.Fuse.FuseAbi.FUSE_ROOT_ID;
        foreach (FsNodeState node in state.Nodes)
        {
            Require(node.Id > last && node.Id < state.NextNode, nameof(state.Nodes), $"node {node.Id} is out of order");
            Require(node.Lookups > 0, nameof(state.Nodes), $"node {node.Id} is not in use");
            last = node.Id;
        }

        last = 0;
        foreach (FsHandleState handle in state.Handles)
        {
            Require(handle.Id > last && handle.Id < state.NextHandle, nameof(state.Handles), $"handle {handle.Id} is out of order");
            last = handle.Id;
        }

        ValidateLocks(state);
        Require(state.Minor != 0 || (state.Nodes.Length == 0 && state.Handles.Length == 0), nameof(state.Minor), "there are files without a session");
    }

    private FsNode Find(FsNodeState saved, bool isSameFolder)
    {
        int fd = Walk(saved.Path);
        stat status;
        if (fd >= 0
            && FileCalls.Stat(fd, &status) == 0
            && (status.st_mode & FileCalls.S_IFMT) == saved.Type
            && (!isSameFolder || (status.st_dev == saved.Device && status.st_ino == saved.Inode)))
        {
            var identity = new FileIdentity(status.st_dev, status.st_ino);
            return new FsNode(saved.Id, identity, saved.Type, new FileDescriptor(fd)) { Lookups = saved.Lookups };
        }

        if (fd >= 0)
        {
            FileCalls.Close(fd);
        }

        return new FsNode(saved.Id, new FileIdentity(saved.Device, saved.Inode), saved.Type, null) { Lookups = saved.Lookups };
    }

    private FileDescriptor? Reopen(FsHandleState saved)
    {
        int path = saved.Node == Cnvm.Linux.Fuse.FuseAbi.FUSE_ROOT_ID ? _root.Value
            : _nodes.TryGetValue(saved.Node, out FsNode? node) && (node.Type == FileCalls.S_IFDIR) == saved.IsDirectory
                && node.Type is FileCalls.S_IFDIR or FileCalls.S_IFREG && node.Descriptor is { } descriptor ? descriptor.Value
            : -1;
        int flags = FuseHandler.OpenFlags((int)saved.Flags, IsReadOnly);
        if (path < 0 || flags < 0)
        {
            return null;
        }

        byte* name = stackalloc byte[16];
        FormatNumber(path, name);
        int fd = FileCalls.OpenAt(_proc.Value, name, (flags & ~Libc.O_TRUNC) | (saved.IsDirectory ? FileCalls.O_DIRECTORY : 0), 0);
        return fd < 0 ? null : new FileDescriptor(fd);
    }

    /// <summary>Opens what a path below the folder names, with O_PATH, through real directories only.</summary>
    /// <returns>Minus the error number if there is nothing.</returns>
    private int Walk(ReadOnlySpan<byte> path)
    {
        if (path.IsEmpty)
        {
            return -Errno.ENOENT;
        }

        byte* name = stackalloc byte[FileNameMax + 1];
        int at = _root.Value;
        while (true)
        {
            int end = path.IndexOf((byte)'/');
            ReadOnlySpan<byte> part = end < 0 ? path : path[..end];
            int next = -Errno.EINVAL;
            if (FuseHandler.CheckName(part) == 0)
            {
                part.CopyTo(new Span<byte>(name, FileNameMax));
                name[part.Length] = 0;
                next = FileCalls.OpenAt(at, name, FileCalls.O_PATH | FileCalls.O_NOFOLLOW | Libc.O_CLOEXEC, 0);
            }

            if (at != _root.Value)
            {
                FileCalls.Close(at);
            }

            if (end < 0 || next < 0)
            {
                return next;
            }

            at = next;
            path = path[(end + 1)..];
        }
    }

    /// <summary>Where a node is below the folder now; empty if nowhere.</summary>
    private byte[] RelativePath(byte[] folder, FsNode node)
    {
        if (node.Descriptor is not { } descriptor || PathOf(descriptor.Value) is not { } path || !path.AsSpan().StartsWith(folder))
        {
            return [];
        }

        ReadOnlySpan<byte> rest = path.AsSpan(folder.Length);
        if (folder is not [.., (byte)'/'])
        {
            if (rest is not [(byte)'/', ..])
            {
                return [];
            }

            rest = rest[1..];
        }

        // A removed file's path says so in words that a file's name may have too.
        int fd = Walk(rest);
        if (fd < 0)
        {
            return [];
        }

        stat status;
        bool isSame = FileCalls.Stat(fd, &status) == 0 && new FileIdentity(status.st_dev, status.st_ino) == node.Identity;
        FileCalls.Close(fd);
        return isSame ? rest.ToArray() : [];
    }

    private byte[]? PathOf(int fd)
    {
        byte* name = stackalloc byte[16];
        FormatNumber(fd, name);
        byte* path = stackalloc byte[PathMax];
        int length = FileCalls.ReadLinkAt(_proc.Value, name, path, PathMax);
        return length is <= 0 or PathMax ? null : new ReadOnlySpan<byte>(path, length).ToArray();
    }

    /// <param name="into">16 bytes.</param>
    internal static void FormatNumber(int number, byte* into)
    {
        Utf8Formatter.TryFormat(number, new Span<byte>(into, 15), out int written);
        into[written] = 0;
    }

    private void Require(bool condition, string field, string reason)
    {
        if (!condition)
        {
            throw new DeviceStateException(_id, field, reason);
        }
    }
}
