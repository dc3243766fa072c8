using System.Text;
using Cnvm.Linux;
using Cnvm.Shim.Messages;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Tasks;

/// <summary>What containerd wants to be mounted as a container's root.</summary>
internal sealed class RootMount
{
    /// <summary>Bytes of options that mount(2) takes: a page with the zero at its end.</summary>
    private const int MostData = 4095;

    private const string LowerDirectories = "lowerdir=";

    private RootMount(string path, bool isMounted)
    {
        Path = path;
        IsMounted = isMounted;
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>Something is mounted there that this made.</summary>
    public bool IsMounted { get; }

    /// <summary>Mounts a container's root at the place that containerd has for it.</summary>
    /// <param name="mounts">One after the other; empty: the configuration names a folder that is there already.</param>
    /// <param name="bundle">The container's folder.</param>
    /// <param name="configured">root.path of the OCI configuration.</param>
    /// <exception cref="TtrpcException">The host refuses; nothing stays mounted.</exception>
    public static RootMount Make(IReadOnlyList<Mount> mounts, string bundle, string configured)
    {
        if (mounts.Count == 0)
        {
            string path = System.IO.Path.GetFullPath(configured.Length == 0 ? "rootfs" : configured, bundle);
            return Directory.Exists(path)
                ? new RootMount(path, false)
                : throw new TtrpcException(TtrpcCode.NotFound, $"root file system {path}: there is no such folder, and no mount was asked for");
        }

        string target = System.IO.Path.Combine(bundle, "rootfs");
        try
        {
            Directory.CreateDirectory(target);
            foreach (Mount mount in mounts)
            {
                MakeOne(mount, Below(target, mount.Target));
            }

            return new RootMount(target, true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or TtrpcException)
        {
            Mounts.UnmountAll(target);
            throw e as TtrpcException ?? new TtrpcException(TtrpcCode.Unknown, $"root file system: {e.Message}");
        }
    }

    /// <summary>Takes away what may be mounted for a container.</summary>
    public static void Unmount(string bundle) => Mounts.UnmountAll(System.IO.Path.Combine(bundle, "rootfs"));

    /// <exception cref="LinuxException">The host refuses.</exception>
    public void Unmount()
    {
        if (IsMounted)
        {
            Mounts.UnmountAll(Path);
        }
    }

    /// <summary>Shortens options that are too long for the kernel: lower folders below a common one are named from there.</summary>
    /// <param name="data">Options of an overlay.</param>
    /// <returns>The common folder and the new options; null if there is none.</returns>
    internal static (string Directory, string Data)? Compact(string data)
    {
        string[] options = data.Split(',');
        int at = Array.FindIndex(options, o => o.StartsWith(LowerDirectories, StringComparison.Ordinal));
        string[] lower = at < 0 ? [] : options[at][LowerDirectories.Length..].Split(':');
        if (lower.Length < 2 || lower.Any(l => !l.StartsWith('/')))
        {
            return null;
        }

        string common = lower[0];
        foreach (string path in lower)
        {
            int same = common.AsSpan().CommonPrefixLength(path);
            common = common[..same];
        }

        // A folder, and one that every path is below of.
        common = common[..(common.LastIndexOf('/') + 1)];
        if (common.Length < 2 || lower.Any(l => l.Length == common.Length))
        {
            return null;
        }

        options[at] = LowerDirectories + string.Join(':', lower.Select(l => l[common.Length..]));
        return (common, string.Join(',', options));
    }

    private static void MakeOne(Mount mount, string target)
    {
        MountOptions options = MountOptions.Parse(mount.Options);
        if (options.IsLoop)
        {
            throw new TtrpcException(
                TtrpcCode.Unimplemented, $"root file system {mount.Source}: mount option 'loop' is not supported; use a snapshotter that has folders, such as overlayfs");
        }

        (string? directory, string data, ulong flags) = (null, options.Words.Data, options.Words.Flags);
        if (Encoding.UTF8.GetByteCount(data) > MostData && mount.Type == "overlay" && Compact(data) is { } shorter)
        {
            (directory, data) = shorter;
        }

        if (Encoding.UTF8.GetByteCount(data) > MostData)
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, $"root file system {mount.Source}: its mount options have more than {MostData} bytes, which is what Linux takes");
        }

        if (directory is null)
        {
            Mounts.Mount(mount.Source, target, mount.Type, flags, data);
        }
        else
        {
            Mounts.Mount(mount.Source, target, mount.Type, flags, data, directory);
        }

        // The first call of a bind mount looks at no other flag.
        const ulong Bind = Mounts.MS_BIND;
        if ((flags & Bind) != 0 && (flags & ~(Bind | Mounts.MS_REC)) != 0)
        {
            Mounts.Mount(mount.Source, target, mount.Type, (flags & ~Mounts.MS_REC) | Mounts.MS_REMOUNT, data);
        }

        if (options.Words.Propagation != 0)
        {
            Mounts.Mount(null, target, null, options.Words.Propagation, null);
        }
    }

    private static string Below(string root, string inner)
    {
        if (inner.Length == 0)
        {
            return root;
        }

        string path = System.IO.Path.GetFullPath(root + "/" + inner);
        return path == root || path.StartsWith(root + "/", StringComparison.Ordinal)
            ? path
            : throw new TtrpcException(TtrpcCode.InvalidArgument, $"root file system: mount target '{inner}' is outside of the container's root");
    }
}
