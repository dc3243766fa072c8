namespace Cnvm.Linux;

/// <summary>
/// Mount options as fstab(5), containerd and OCI specifications spell them (mount(8)), sorted into what mount(2) takes. A later word counts more than an
/// earlier one.
/// </summary>
/// <param name="Flags">MS_ flags of <see cref="Mounts"/>.</param>
/// <param name="Propagation">MS_ flags of propagation, for a call of its own; 0 for none.</param>
/// <param name="Rest">Words that are none of these: the file system's own.</param>
public sealed record MountWords(ulong Flags, ulong Propagation, IReadOnlyList<string> Rest)
{
    private static readonly Dictionary<string, (ulong Set, ulong Clear)> Known = new(StringComparer.Ordinal)
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

    private static readonly Dictionary<string, ulong> Propagations = new(StringComparer.Ordinal)
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

    /// <summary>What the file system itself takes, separated by commas.</summary>
    public string Data => string.Join(',', Rest);

    /// <summary>Sorts options.</summary>
    public static MountWords Sort(IEnumerable<string> options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ulong flags = 0;
        ulong propagation = 0;
        var rest = new List<string>();
        foreach (string option in options)
        {
            if (Known.TryGetValue(option, out (ulong Set, ulong Clear) change))
            {
                flags = (flags & ~change.Clear) | change.Set;
            }
            else if (Propagations.TryGetValue(option, out ulong kind))
            {
                propagation |= kind;
            }
            else
            {
                rest.Add(option);
            }
        }

        return new MountWords(flags, propagation, rest);
    }

    /// <summary>MS_ flags of a propagation's name; null if there is none of that name.</summary>
    public static ulong? PropagationOf(string name) => Propagations.TryGetValue(name, out ulong kind) ? kind : null;
}
