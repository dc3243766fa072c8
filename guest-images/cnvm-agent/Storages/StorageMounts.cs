using Cnvm.GuestAgent.Spec;
using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Storages;

/// <summary>Mounts what the host offers in the sandbox's own tree. Mount points are counted: several containers may name one.</summary>
internal sealed class StorageMounts(string systemFolder)
{
    private const int MostMounts = 4096;
    private static readonly string[] Forbidden = ["/", "/proc", "/sys", "/dev", "/init"];
    private readonly Dictionary<string, int> _users = [];
    private readonly Lock _lock = new();

    /// <summary>Drivers that <see cref="Add"/> knows.</summary>
    public static IReadOnlyList<string> Drivers { get; } = ["virtio-fs", "blk", "mmioblk", "local", "ephemeral", "overlayfs", "bind", "tmpfs"];

    /// <summary>Mounts a storage, unless its mount point is there already.</summary>
    /// <returns>The mount point, for <see cref="Release"/>; null if nothing is mounted.</returns>
    /// <exception cref="StageException">The request makes no sense.</exception>
    /// <exception cref="IOException">The device does not come, or the kernel refuses.</exception>
    public string? Add(StorageRequest storage)
    {
        string target = Checked(storage.MountPoint);
        lock (_lock)
        {
            if (_users.TryGetValue(target, out int users))
            {
                _users[target] = users + 1;
                return target;
            }

            if (_users.Count >= MostMounts)
            {
                throw new StageException($"storage {target}: there are {MostMounts} already");
            }

            bool isMount = Mount(storage, target);
            if (storage.GroupId is { } group)
            {
                GiveToGroup(target, group);
            }

            if (!isMount)
            {
                return null;
            }

            _users.Add(target, 1);
            return target;
        }
    }

    /// <summary>Takes a mount away when nobody needs it any more.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Release(string mountPoint)
    {
        lock (_lock)
        {
            if (!_users.TryGetValue(mountPoint, out int users))
            {
                return;
            }

            if (users > 1)
            {
                _users[mountPoint] = users - 1;
                return;
            }

            _users.Remove(mountPoint);
            Mounts.Detach(mountPoint);
        }
    }

    /// <summary>Whether a path has been made absolute and without dots, and is none that the sandbox itself lives on.</summary>
    private static string Checked(string path)
    {
        bool isPlain = path.StartsWith('/') && path.Length <= 4096 && !path.Split('/').Any(p => p is "." or "..");
        string trimmed = path.TrimEnd('/');
        return isPlain && trimmed.Length > 0 && !Forbidden.Any(f => trimmed == f)
            ? trimmed
            : throw new StageException($"storage: '{path}' is no place for a mount");
    }

    private bool Mount(StorageRequest storage, string target)
    {
        MountWords options = MountOptions.Parse(storage.Options);
        switch (storage.Driver)
        {
            case "virtio-fs" or "overlayfs" or "overlay" or "ephemeral" or "tmpfs":
                Directory.CreateDirectory(target);
                string type = storage.Driver switch
                {
                    "virtio-fs" => "virtiofs",
                    "overlayfs" or "overlay" => "overlay",
                    _ => storage.FileSystem.Length == 0 ? "tmpfs" : storage.FileSystem,
                };
                Mounts.Mount(storage.Source.Length == 0 ? type : storage.Source, target, type, options.Flags, options.Data.Length == 0 ? null : options.Data);
                return true;
            case "blk" or "mmioblk":
                string device = BlockDevices.Find(storage.Source, systemFolder);
                Directory.CreateDirectory(target);
                Mounts.Mount(
                    device, target, storage.FileSystem.Length == 0 ? "ext4" : storage.FileSystem, options.Flags, options.Data.Length == 0 ? null : options.Data);
                return true;
            case "bind":
                Bind(storage.Source, target, options);
                return true;
            case "local":
                // A folder that containers share, in the sandbox's memory; nothing is mounted.
                Directory.CreateDirectory(target);
                if (storage.Options.FirstOrDefault(o => o.StartsWith("mode=", StringComparison.Ordinal)) is { } mode)
                {
                    File.SetUnixFileMode(target, (UnixFileMode)(Convert.ToInt32(mode[5..], 8) & 0xfff));
                }

                return false;
            default:
                throw new StageException($"storage {target}: the driver '{storage.Driver}' is not supported; there are {string.Join(", ", Drivers)}");
        }
    }

    private static void Bind(string source, string target, MountWords options)
    {
        if (Directory.Exists(source))
        {
            Directory.CreateDirectory(target);
        }
        else
        {
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Make(target);
        }

        Mounts.Mount(source, target, null, Mounts.MS_BIND | (options.Flags & Mounts.MS_REC), null);
        ulong changes = options.Flags & ~(Mounts.MS_BIND | Mounts.MS_REC);
        if (changes != 0)
        {
            Mounts.Mount(null, target, null, Mounts.MS_REMOUNT | Mounts.MS_BIND | changes, null);
        }

        if (options.Propagation != 0)
        {
            Mounts.Mount(null, target, null, options.Propagation, null);
        }
    }

    private static void GiveToGroup(string path, uint group)
    {
        using var folder = new RootedDirectory(path);
        using FileDescriptor own = folder.Open(".", Libc.O_RDONLY | FileCalls.O_DIRECTORY);
        // Files that are made in it later belong to the group too.
        RootedDirectory.SetOwnerAndMode(own, uint.MaxValue, group, 0x5fd);
    }
}
