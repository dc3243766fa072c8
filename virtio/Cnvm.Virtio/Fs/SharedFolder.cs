using System.Text;
using Cnvm.Linux;
using Cnvm.Linux.Fuse;

namespace Cnvm.Virtio.Fs;

/// <summary>
/// A folder of the host as a FUSE session sees it: numbers of nodes and handles, and the descriptors behind them. Nodes are descriptors
/// with O_PATH, so that renaming or removing a file leaves them what they are, and nothing but a name within one is ever looked up. Any
/// thread; the lock is held for table work only, never over a system call that may wait.
/// </summary>
internal sealed unsafe partial class SharedFolder : IDisposable
{
    private readonly string _id;
    private readonly FileDescriptor _root;
    private readonly FileDescriptor _proc;
    private readonly FileIdentity _rootIdentity;

    // A file system that has no device gets a number that an earlier one had before, and a tmpfs numbers its files from 1: what tells them apart is f_fsid.
    private readonly ulong _fileSystem;
    private readonly int _maxNodes;
    private readonly int _maxHandles;
    private readonly int _maxRestored;
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, FsNode> _nodes = [];
    private readonly Dictionary<FileIdentity, FsNode> _byIdentity = [];
    private readonly Dictionary<ulong, FsHandle> _handles = [];
    private ulong _nextNode = FuseAbi.FUSE_ROOT_ID + 1;
    private ulong _nextHandle = 1;
    private uint _minor;
    private uint _flags;

    /// <exception cref="LinuxException">The folder cannot be opened, or is none.</exception>
    public SharedFolder(FsOptions options)
    {
        _id = options.Id;
        IsReadOnly = options.IsReadOnly;
        Cache = options.Cache;
        Users = new IdMap(options.Users);
        Groups = new IdMap(options.Groups);

        SharesLocks = options.SharesLocks;

        // A file is open more rarely than it is remembered, and locked even more rarely.
        _maxHandles = Math.Max(options.MaxDescriptors / 4, 1);
        int maxOwners = SharesLocks ? Math.Max(options.MaxDescriptors / 8, 1) : 0;
        _maxNodes = Math.Max(options.MaxDescriptors - _maxHandles - maxOwners, 1);
        Locks = new FsLocks(this, maxOwners);
        _maxRestored = options.MaxRestored ?? _maxNodes;
        _root = Open(options.Path, $"open the shared folder {options.Path}");
        try
        {
            _proc = Open("/proc/self/fd", "open /proc/self/fd, through which files are opened");
            stat status;
            LinuxError.Check(FileCalls.Stat(_root.Value, &status), $"stat {options.Path}");
            _rootIdentity = new FileIdentity(status.st_dev, status.st_ino);
            statfs system;
            LinuxError.Check(FileCalls.FileSystemStatus(_root.Value, &system), $"statfs {options.Path}");
            _fileSystem = status.st_dev ^ system.f_fsid;
        }
        catch
        {
            _proc?.Dispose();
            _root.Dispose();
            throw;
        }
    }

    public bool IsReadOnly { get; }

    public FsCacheMode Cache { get; }

    /// <summary>Locks of the guest and of the host's processes exclude each other; otherwise the guest keeps its own to itself.</summary>
    public bool SharesLocks { get; }

    public FsLocks Locks { get; }

    /// <summary>Requests for locks that others have.</summary>
    public FsLockWaits Waits { get; } = new();

    public IdMap Users { get; }

    public IdMap Groups { get; }

    /// <summary>Directory of this process's descriptors, each a link that leads to its file.</summary>
    public int Descriptors => _proc.Value;

    /// <summary>Inode number of the shared folder.</summary>
    public ulong RootInode => _rootIdentity.Inode;

    /// <summary>FUSE_INIT was answered.</summary>
    public bool IsInitialised => Volatile.Read(ref _minor) != 0;

    /// <summary>Flags of FUSE_INIT that were agreed on.</summary>
    public uint Flags => Volatile.Read(ref _flags);

    public ulong NodeCount
    {
        get
        {
            lock (_lock)
            {
                return (ulong)_nodes.Count;
            }
        }
    }

    public ulong HandleCount
    {
        get
        {
            lock (_lock)
            {
                return (ulong)_handles.Count;
            }
        }
    }

    /// <summary>Begins a session; what an earlier one left is forgotten.</summary>
    public void Begin(uint minor, uint flags)
    {
        Clear();
        Volatile.Write(ref _flags, flags);
        Volatile.Write(ref _minor, minor);
    }

    /// <summary>Ends the session: closes everything but the folder itself. Numbers are not used again.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            Locks.Clear(_handles.Values);
            foreach (FsHandle handle in _handles.Values)
            {
                handle.Descriptor?.Dispose();
            }

            foreach (FsNode node in _nodes.Values)
            {
                node.Descriptor?.Dispose();
            }

            _handles.Clear();
            _nodes.Clear();
            _byIdentity.Clear();
            Volatile.Write(ref _minor, 0);
            Volatile.Write(ref _flags, 0);
        }
    }

    /// <summary>The descriptor (O_PATH) of a node. Errors: ENOENT for a number that was never given, ESTALE for a file that is gone.</summary>
    public FileUse UseNode(ulong id)
    {
        if (id == FuseAbi.FUSE_ROOT_ID)
        {
            return new FileUse(_root, FileCalls.S_IFDIR, null);
        }

        lock (_lock)
        {
            return !_nodes.TryGetValue(id, out FsNode? node) ? new FileUse(-Errno.ENOENT)
                : node.Descriptor is { } descriptor ? new FileUse(descriptor, node.Type, null)
                : new FileUse(-Errno.ESTALE);
        }
    }

    /// <summary>The descriptor of something open. Errors: EBADF for a number that is none or of the other kind, ESTALE for a file that is gone.</summary>
    public FileUse UseHandle(ulong id, bool isDirectory)
    {
        lock (_lock)
        {
            return !_handles.TryGetValue(id, out FsHandle? handle) || handle.IsDirectory != isDirectory ? new FileUse(-Errno.EBADF)
                : handle.Descriptor is { } descriptor ? new FileUse(descriptor, 0, handle)
                : new FileUse(-Errno.ESTALE);
        }
    }

    /// <summary>Counts one more lookup of a file that the driver knows.</summary>
    /// <returns>Its number; 0 if it does not know it.</returns>
    public ulong TryCount(in stat status)
    {
        var identity = new FileIdentity(status.st_dev, status.st_ino);
        if (identity == _rootIdentity)
        {
            return FuseAbi.FUSE_ROOT_ID;
        }

        lock (_lock)
        {
            if (!_byIdentity.TryGetValue(identity, out FsNode? node))
            {
                return 0;
            }

            node.Lookups++;
            return node.Id;
        }
    }

    /// <summary>Counts a lookup of a file, making it a node if it is none.</summary>
    /// <param name="fd">The file, opened with O_PATH; belongs to this object from now on.</param>
    /// <returns>Its number; 0: there are too many already.</returns>
    public ulong Add(int fd, in stat status)
    {
        var identity = new FileIdentity(status.st_dev, status.st_ino);
        ulong id = 0;
        bool isNew = false;
        lock (_lock)
        {
            if (identity == _rootIdentity)
            {
                id = FuseAbi.FUSE_ROOT_ID;
            }
            else if (_byIdentity.TryGetValue(identity, out FsNode? node))
            {
                node.Lookups++;
                id = node.Id;
            }
            else if (_nodes.Count < _maxNodes)
            {
                isNew = true;
                id = _nextNode++;
                node = new FsNode(id, identity, status.st_mode & FileCalls.S_IFMT, new FileDescriptor(fd)) { Lookups = 1 };
                _nodes.Add(id, node);
                _byIdentity.Add(identity, node);
            }
        }

        if (!isNew)
        {
            FileCalls.Close(fd);
        }

        return id;
    }

    /// <summary>Takes lookups back; a node without any is closed.</summary>
    public void Forget(ulong id, ulong lookups)
    {
        lock (_lock)
        {
            if (!_nodes.TryGetValue(id, out FsNode? node))
            {
                return;
            }

            node.Lookups -= Math.Min(lookups, node.Lookups);
            if (node.Lookups == 0)
            {
                Remove(node);
            }
        }
    }

    /// <summary>Makes a handle for a file that was just opened; its descriptor belongs to this object from now on.</summary>
    /// <returns>The handle's number; 0: there are too many already.</returns>
    public ulong AddHandle(int fd, ulong node, int flags, bool isDirectory)
    {
        ulong id = 0;
        lock (_lock)
        {
            if (_handles.Count < _maxHandles)
            {
                id = _nextHandle++;
                uint again = (uint)(flags & ~(Libc.O_TRUNC | Libc.O_CREAT | Libc.O_EXCL));
                _handles.Add(id, new FsHandle(id, node, again, isDirectory, new FileDescriptor(fd)));
            }
        }

        if (id == 0)
        {
            FileCalls.Close(fd);
        }

        return id;
    }

    /// <summary>Closes a handle. False: there is none with this number.</summary>
    public bool RemoveHandle(ulong id)
    {
        FsHandle? handle;
        lock (_lock)
        {
            if (!_handles.Remove(id, out handle))
            {
                return false;
            }
        }

        if (SharesLocks)
        {
            Locks.Release(handle);
        }

        // Outside the lock: the last close of a file may take the host's file system its time.
        handle.Descriptor?.Dispose();
        return true;
    }

    public void Dispose()
    {
        Clear();
        _proc.Dispose();
        _root.Dispose();
    }

    private static FileDescriptor Open(string path, string operation)
    {
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
        {
            int fd = FileCalls.OpenAt(FileCalls.AT_FDCWD, name, FileCalls.O_PATH | FileCalls.O_DIRECTORY | Libc.O_CLOEXEC, 0);
            return fd < 0 ? throw new LinuxException(operation, -fd) : new FileDescriptor(fd);
        }
    }

    private void Remove(FsNode node)
    {
        _nodes.Remove(node.Id);
        if (_byIdentity.TryGetValue(node.Identity, out FsNode? known) && ReferenceEquals(known, node))
        {
            _byIdentity.Remove(node.Identity);
        }

        node.Descriptor?.Dispose();
    }
}
