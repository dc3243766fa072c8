using System.Globalization;
using Cnvm.Agent.Protocol;
using Cnvm.Linux;
using Cnvm.Sandbox.Machine;

namespace Cnvm.Sandbox.Containers;

/// <summary>
/// What a container has of the host: its root file system and its volumes, and where they are in the guest. The guest can write to the shared folder, so
/// that nothing in it is reached by its path: names stay in the folder, and mounts are made and taken away by descriptor.
/// </summary>
internal sealed class ContainerPlace
{
    private readonly SandboxOptions _options;
    private readonly string _id;
    private readonly string _shared;
    private readonly string _host;
    private int _volumes;

    public ContainerPlace(SandboxOptions options, SandboxFolder folder, string id)
    {
        _options = options;
        _id = id;
        _shared = folder.Shared;
        _host = Path.Combine(_shared, id);
    }

    /// <summary>Makes the container's folder on the host: until it is removed, the name is taken.</summary>
    /// <exception cref="SandboxException">It is taken already.</exception>
    public void Claim()
    {
        if (Directory.Exists(_host))
        {
            throw new SandboxException(SandboxErrorKind.AlreadyExists, $"the sandbox has a container '{_id}' already");
        }

        using DirectoryTree tree = DirectoryTree.Open(_shared);
        tree.MakeDirectory(_id);
    }

    /// <summary>What the agent has to mount before the container is made.</summary>
    public List<Storage> Storages { get; } = [];

    /// <summary>Makes the root file system reachable; returns its path in the guest.</summary>
    /// <exception cref="SandboxException">The folder cannot be shared.</exception>
    public string AddRootfs(ContainerRootfs rootfs)
    {
        if (!Directory.Exists(rootfs.Path))
        {
            throw new SandboxException(SandboxErrorKind.NotFound, $"there is no root file system at {rootfs.Path}");
        }

        string lower = Reach(rootfs.Path, "rootfs", rootfs.Access != RootfsAccess.ReadWrite);
        if (rootfs.Access != RootfsAccess.Overlay)
        {
            return lower;
        }

        string writable = GuestPaths.WritableOf(_id);
        string merged = GuestPaths.OverlayOf(_id);
        Storages.Add(new Storage { Driver = "ephemeral", Source = "tmpfs", Fstype = "tmpfs", MountPoint = writable });
        Storages.Add(new Storage { Driver = "local", MountPoint = $"{writable}/upper", Options = ["mode=0755"] });
        Storages.Add(new Storage { Driver = "local", MountPoint = $"{writable}/work", Options = ["mode=0755"] });
        Storages.Add(new Storage
        {
            Driver = "overlayfs", Source = "overlay", Fstype = "overlay", MountPoint = merged,
            Options = [$"lowerdir={lower}", $"upperdir={writable}/upper", $"workdir={writable}/work"],
        });
        return merged;
    }

    /// <summary>Makes a volume reachable; returns the mount that the container gets.</summary>
    /// <param name="options">Further options of the mount.</param>
    /// <exception cref="SandboxException">The file or folder cannot be shared.</exception>
    public Mount AddVolume(ContainerVolume volume, IReadOnlyList<string> options)
    {
        if (!Path.Exists(volume.HostPath))
        {
            throw new SandboxException(SandboxErrorKind.NotFound, $"volume {volume.HostPath}: no such file or directory");
        }

        string name = string.Create(CultureInfo.InvariantCulture, $"mounts/{_volumes++}");
        string source = Reach(volume.HostPath, name, volume.ReadOnly);
        List<string> all = ["rbind", volume.ReadOnly ? "ro" : "rw"];
        foreach (string option in options)
        {
            if (!all.Contains(option) && option is not ("bind" or "ro" or "rw"))
            {
                all.Add(option);
            }
        }

        return new Mount { Destination = volume.GuestPath, Source = source, Type = "bind", Options = all };
    }

    /// <summary>Takes away what was made for the container on the host.</summary>
    public void Remove()
    {
        using DirectoryTree tree = DirectoryTree.Open(_shared);
        MountTable.UnmountBelow(_host, point =>
        {
            using FileDescriptor? mounted = tree.TryOpenPlace(point[(_shared.Length + 1)..]);
            if (mounted is not null)
            {
                Mounts.Unmount(mounted.Value);
            }
        });
        tree.Remove(_id);
    }

    /// <summary>Path in the guest of a file or folder of the host: a folder that the sandbox has anyway, or one that is mounted now.</summary>
    private string Reach(string path, string name, bool readOnly)
    {
        path = Path.GetFullPath(path);
        for (int i = 0; i < _options.Folders.Count; i++)
        {
            if (Path.GetFullPath(_options.Folders[i].Path) == path)
            {
                return !_options.Folders[i].ReadOnly || readOnly
                    ? GuestPaths.FolderOf(i)
                    : throw new SandboxException(SandboxErrorKind.Invalid, $"{path} was given to the sandbox read-only, and a container wants to write there");
            }
        }

        string target = $"{_id}/{name}";
        using DirectoryTree tree = DirectoryTree.Open(_shared);
        if (Directory.Exists(path))
        {
            tree.MakeDirectory(target);
        }
        else
        {
            tree.MakeFile(target).Dispose();
        }

        using FileDescriptor place = tree.TryOpenPlace(target)
            ?? throw new SandboxException(SandboxErrorKind.Host, $"the guest has taken away {target}, where {path} was to be mounted");
        try
        {
            HostMounts.Bind(path, place.Value, readOnly);
        }
        catch (LinuxException e) when (e.Errno is Errno.EPERM or Errno.EACCES)
        {
            throw new SandboxException(
                SandboxErrorKind.Host, $"{path} is not a folder that the sandbox was started with, and this process may not mount (root): {e.Message}", e);
        }

        return $"{GuestPaths.Shared}/{_id}/{name}";
    }
}
