using Cnvm.Linux;

namespace Cnvm.GuestAgent.Stage;

/// <summary>Makes a container's file system tree, and moves into it. The calling thread has a mount namespace of its own.</summary>
internal static class ContainerRoot
{
    private const uint DirectoryMode = 0x1ed;
    private const uint FileMode = 0x1a4;

    /// <summary>What a bind's change of flags may change; the rest are its kind.</summary>
    private const ulong BindChanges = Mounts.MS_RDONLY | Mounts.MS_NOSUID | Mounts.MS_NODEV | Mounts.MS_NOEXEC | Mounts.MS_NOATIME
        | Mounts.MS_NODIRATIME | Mounts.MS_RELATIME | Mounts.MS_STRICTATIME | Mounts.MS_NOSYMFOLLOW;

    private static readonly (string Path, string Target)[] Links =
    [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/core", "/proc/kcore"),
    ];

    public static void Build(StagePlan plan)
    {
        string path = plan.RootPath!;
        if (!Directory.Exists(path))
        {
            throw new StageException($"root.path: {path} is no folder in the sandbox");
        }

        Mounts.Mount(null, "/", null, Mounts.MS_REC | Mounts.MS_PRIVATE, null);
        // What becomes the root has to be a mount.
        Mounts.Mount(path, path, null, Mounts.MS_BIND | Mounts.MS_REC, null);
        using (var root = new RootedDirectory(path))
        {
            foreach (PlannedMount mount in plan.Mounts)
            {
                Add(root, mount);
            }

            MakeDevices(root, plan);
            if (plan.WorkingDirectory != "/")
            {
                MakeWorkingDirectory(root, plan.WorkingDirectory);
            }

            Mounts.MoveRootTo(root.Fd);
        }

        foreach ((string name, string value) in plan.Sysctls)
        {
            WriteSysctl(name, value);
        }

        foreach (string readOnly in plan.ReadOnlyPaths)
        {
            MakeReadOnly(readOnly);
        }

        foreach (string masked in plan.MaskedPaths)
        {
            Mask(masked);
        }

        if (plan.IsRootReadOnly)
        {
            Mounts.Mount(null, "/", null, Mounts.MS_REMOUNT | Mounts.MS_BIND | Mounts.MS_RDONLY, null);
        }

        if (plan.RootPropagation != 0)
        {
            Mounts.Mount(null, "/", null, plan.RootPropagation, null);
        }
    }

    /// <summary>The container's terminal is also its console.</summary>
    public static void MountConsole(FileDescriptor terminal)
    {
        using var root = new RootedDirectory("/");
        using FileDescriptor target = root.OpenOrMakeFile("/dev/console", FileMode, DirectoryMode);
        Mounts.Mount(RootedDirectory.NameOf(terminal), RootedDirectory.NameOf(target), null, Mounts.MS_BIND, null);
    }

    private static void Add(RootedDirectory root, PlannedMount mount)
    {
        try
        {
            string source = mount.Source;
            FileDescriptor? file = mount.IsBind ? OpenSource(source) : null;
            using (file)
            {
                bool isFile = file is not null && !RootedDirectory.IsDirectory(file);
                using (FileDescriptor target = isFile
                    ? root.OpenOrMakeFile(mount.Destination, FileMode, DirectoryMode)
                    : root.OpenOrMakeDirectory(mount.Destination, DirectoryMode))
                {
                    ulong kind = mount.IsBind ? mount.Flags & (Mounts.MS_BIND | Mounts.MS_REC) : mount.Flags;
                    Mounts.Mount(
                        file is null ? source : RootedDirectory.NameOf(file), RootedDirectory.NameOf(target),
                        mount.IsBind ? null : mount.Type, kind, mount.IsBind || mount.Data.Length == 0 ? null : mount.Data);
                }
            }

            // The descriptor of before shows what the mount now covers.
            using FileDescriptor mounted = root.Open(mount.Destination.Trim('/'), FileCalls.O_PATH);
            if (mount.IsBind && (mount.Flags & BindChanges) != 0)
            {
                Mounts.Mount(null, RootedDirectory.NameOf(mounted), null, Mounts.MS_REMOUNT | Mounts.MS_BIND | (mount.Flags & BindChanges), null);
            }

            if (mount.Propagation != 0)
            {
                Mounts.Mount(null, RootedDirectory.NameOf(mounted), null, mount.Propagation, null);
            }
        }
        catch (LinuxException e)
        {
            throw new StageException($"mount of {(mount.IsBind ? mount.Source : mount.Type)} at {mount.Destination}: {e.Message}");
        }
    }

    private static FileDescriptor OpenSource(string path) =>
        new(LinuxError.Check(Libc.open(path, FileCalls.O_PATH | Libc.O_CLOEXEC, 0), $"open {path}"));

    private static void MakeDevices(RootedDirectory root, StagePlan plan)
    {
        foreach (PlannedDevice device in plan.Devices)
        {
            int error = root.MakeNode(device.Path, device.Mode, device.Major, device.Minor, device.UserId, device.GroupId);
            // Folders of a host that is not root take no nodes: the sandbox's own node is put there.
            if (error != 0 && Path.Exists(device.Path))
            {
                using FileDescriptor target = root.OpenOrMakeFile(device.Path, FileMode, DirectoryMode);
                Mounts.Mount(device.Path, RootedDirectory.NameOf(target), null, Mounts.MS_BIND, null);
            }
            else if (error != 0)
            {
                throw new StageException(new LinuxException($"make the device {device.Path}", error).Message);
            }
        }

        foreach ((string path, string target) in Links)
        {
            root.MakeLink(path, target);
        }

        if (plan.Mounts.Any(m => m.Type == "devpts"))
        {
            root.Remove("/dev/ptmx");
            root.MakeLink("/dev/ptmx", "pts/ptmx");
        }
    }

    private static void MakeWorkingDirectory(RootedDirectory root, string path)
    {
        if (root.TryOpen(path.Trim('/'), FileCalls.O_PATH, 0, out int error) is { } there)
        {
            there.Dispose();
        }
        else if (error == Errno.ENOENT)
        {
            root.OpenOrMakeDirectory(path, DirectoryMode).Dispose();
        }
    }

    private static void WriteSysctl(string name, string value)
    {
        try
        {
            File.WriteAllText("/proc/sys/" + name, value);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StageException($"sysctl {name.Replace('/', '.')} = '{value}': {e.Message}");
        }
    }

    private static void MakeReadOnly(string path)
    {
        if (!Path.Exists(path))
        {
            return;
        }

        Mounts.Mount(path, path, null, Mounts.MS_BIND | Mounts.MS_REC, null);
        Mounts.Mount(null, path, null, Mounts.MS_REMOUNT | Mounts.MS_BIND | Mounts.MS_RDONLY | Mounts.MS_NOSUID | Mounts.MS_NODEV | Mounts.MS_NOEXEC, null);
    }

    private static void Mask(string path)
    {
        if (Directory.Exists(path))
        {
            Mounts.Mount("tmpfs", path, "tmpfs", Mounts.MS_RDONLY | Mounts.MS_NOSUID | Mounts.MS_NODEV | Mounts.MS_NOEXEC, "size=0k,nr_inodes=1");
        }
        else if (Path.Exists(path))
        {
            Mounts.Mount("/dev/null", path, null, Mounts.MS_BIND, null);
        }
    }
}
