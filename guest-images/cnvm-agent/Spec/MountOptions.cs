using Cnvm.Linux;

namespace Cnvm.GuestAgent.Spec;

/// <summary>Mount options as fstab(5) and OCI specifications spell them, sorted into what mount(2) takes.</summary>
/// <param name="Flags">MS_ flags.</param>
/// <param name="Propagation">MS_ flags of propagation; 0 for none.</param>
/// <param name="Data">What is for the file system itself, separated by commas.</param>
internal sealed record MountOptions(ulong Flags, ulong Propagation, string Data)
{
    private static readonly Dictionary<string, (ulong Set, ulong Clear)> Known = new()
    {
        ["async"] = (0, Mounts.MS_SYNCHRONOUS),
        ["atime"] = (0, Mounts.MS_NOATIME),
        ["bind"] = (Mounts.MS_BIND, 0),
        ["defaults"] = (0, 0),
        ["dev"] = (0, Mounts.MS_NODEV),
        ["diratime"] = (0, Mounts.MS_NODIRATIME),
        ["dirsync"] = (Mounts.MS_DIRSYNC, 0),
        ["exec"] = (0, Mounts.MS_NOEXEC),
        ["lazytime"] = (Mounts.MS_LAZYTIME, 0),
        ["loud"] = (0, Mounts.MS_SILENT),
        ["mand"] = (Mounts.MS_MANDLOCK, 0),
        ["noatime"] = (Mounts.MS_NOATIME, 0),
        ["nodev"] = (Mounts.MS_NODEV, 0),
        ["nodiratime"] = (Mounts.MS_NODIRATIME, 0),
        ["noexec"] = (Mounts.MS_NOEXEC, 0),
        ["nolazytime"] = (0, Mounts.MS_LAZYTIME),
        ["nomand"] = (0, Mounts.MS_MANDLOCK),
        ["norelatime"] = (0, Mounts.MS_RELATIME),
        ["nostrictatime"] = (0, Mounts.MS_STRICTATIME),
        ["nosuid"] = (Mounts.MS_NOSUID, 0),
        ["nosymfollow"] = (Mounts.MS_NOSYMFOLLOW, 0),
        ["rbind"] = (Mounts.MS_BIND | Mounts.MS_REC, 0),
        ["relatime"] = (Mounts.MS_RELATIME, 0),
        ["remount"] = (Mounts.MS_REMOUNT, 0),
        ["ro"] = (Mounts.MS_RDONLY, 0),
        ["rro"] = (Mounts.MS_RDONLY, 0),
        ["rw"] = (0, Mounts.MS_RDONLY),
        ["silent"] = (Mounts.MS_SILENT, 0),
        ["strictatime"] = (Mounts.MS_STRICTATIME, 0),
        ["suid"] = (0, Mounts.MS_NOSUID),
        ["symfollow"] = (0, Mounts.MS_NOSYMFOLLOW),
        ["sync"] = (Mounts.MS_SYNCHRONOUS, 0),
    };

    private static readonly Dictionary<string, ulong> Propagations = new()
    {
        ["private"] = Mounts.MS_PRIVATE,
        ["rprivate"] = Mounts.MS_PRIVATE | Mounts.MS_REC,
        ["rshared"] = Mounts.MS_SHARED | Mounts.MS_REC,
        ["rslave"] = Mounts.MS_SLAVE | Mounts.MS_REC,
        ["runbindable"] = Mounts.MS_UNBINDABLE | Mounts.MS_REC,
        ["shared"] = Mounts.MS_SHARED,
        ["slave"] = Mounts.MS_SLAVE,
        ["unbindable"] = Mounts.MS_UNBINDABLE,
    };

    public static MountOptions Parse(IEnumerable<string> options)
    {
        ulong flags = 0;
        ulong propagation = 0;
        var data = new List<string>();
        foreach (string option in options.SelectMany(o => o.Split(',', StringSplitOptions.RemoveEmptyEntries)))
        {
            if (Known.TryGetValue(option, out (ulong Set, ulong Clear) change))
            {
                flags = (flags & ~change.Clear) | change.Set;
            }
            else if (Propagations.TryGetValue(option, out ulong kind))
            {
                propagation |= kind;
            }
            else if (option != "tmpcopyup")
            {
                data.Add(option);
            }
        }

        return new MountOptions(flags, propagation, string.Join(',', data));
    }

    /// <summary>MS_ flags of a propagation's name; null if there is none of that name.</summary>
    public static ulong? PropagationOf(string name) => Propagations.TryGetValue(name, out ulong kind) ? kind : null;
}
