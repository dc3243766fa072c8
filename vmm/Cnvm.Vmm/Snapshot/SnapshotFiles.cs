namespace Cnvm.Vmm.Snapshot;

/// <summary>The files of a snapshot's folder. Names are Cloud Hypervisor's.</summary>
public static class SnapshotFiles
{
    /// <summary>The configuration as JSON; tools edit it before they restore.</summary>
    public const string Config = "config.json";

    /// <summary>The state of vCPUs and devices. Written last: a folder without it holds no snapshot.</summary>
    public const string State = "state.json";

    /// <summary>Contents of guest RAM, range after range, with holes where it is zero; absent when nothing has to be in it.</summary>
    public const string Memory = "memory-ranges";

    /// <summary>Before a disk's id: a copy of its image.</summary>
    public const string DiskPrefix = "disk-";

    private const string UrlScheme = "file://";

    /// <summary>Name of the copy of a disk's image.</summary>
    /// <exception cref="SnapshotException">The disk's id cannot be part of a file's name.</exception>
    public static string OfDisk(string id) => id.Contains('/', StringComparison.Ordinal)
        ? throw new SnapshotException($"disks: the id '{id}' cannot be part of a file's name")
        : DiskPrefix + id;

    /// <summary>The folder that a URL names.</summary>
    /// <exception cref="VmmException">It is no file URL.</exception>
    public static string FolderOf(string? url, string field)
    {
        if (url is null || !url.StartsWith(UrlScheme, StringComparison.Ordinal) || url.Length == UrlScheme.Length)
        {
            throw new VmmException(VmmErrorKind.Invalid, $"{field}: '{url}' is not of the form file:///FOLDER");
        }

        return url[UrlScheme.Length..];
    }
}
