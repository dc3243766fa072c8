using System.Globalization;

namespace Cnvm.Shim.Tasks;

/// <summary>
/// The control group on the host that a pod's VMM is in, as runc would have made it for the container: what the VMM uses is accounted there. The
/// container's own limits are the guest's matter; here they would count the virtual machine itself.
/// </summary>
internal sealed class HostCgroup
{
    private const string Root = "/sys/fs/cgroup";
    private readonly IReadOnlyList<string> _folders;

    private HostCgroup(IReadOnlyList<string> folders) => _folders = folders;

    /// <summary>Whether the host has the unified hierarchy (version 2), and no other beside it.</summary>
    public static bool IsUnified => File.Exists($"{Root}/cgroup.controllers");

    /// <summary>Puts a process into a control group, which is made if it is not there.</summary>
    /// <param name="path">linux.cgroupsPath of an OCI configuration; empty: the process stays where it is.</param>
    /// <exception cref="IOException">The host refuses.</exception>
    public static HostCgroup? Join(string path, int process)
    {
        if (FoldersOf(path) is not { Count: > 0 } folders)
        {
            return null;
        }

        var group = new HostCgroup(folders);
        try
        {
            foreach (string folder in folders)
            {
                Directory.CreateDirectory(folder);
                InheritCpuset(folder);
                File.WriteAllText(Path.Combine(folder, "cgroup.procs"), process.ToString(CultureInfo.InvariantCulture));
            }
        }
        catch
        {
            group.Remove();
            throw;
        }

        return group;
    }

    /// <summary>Removes what a shim that is gone may have left of a control group.</summary>
    public static void Remove(string path)
    {
        if (FoldersOf(path) is { } folders)
        {
            new HostCgroup(folders).Remove();
        }
    }

    /// <summary>Removes the group, if nothing is in it.</summary>
    public void Remove()
    {
        foreach (string folder in _folders.Where(Directory.Exists))
        {
            try
            {
                Directory.Delete(folder);
            }
            catch (IOException)
            {
                // Somebody else has put a process or a group into it, whose it is now.
                continue;
            }
        }
    }

    /// <summary>The path below a hierarchy's root that runc gives a configured path: a path, or <c>slice:prefix:name</c> of systemd.</summary>
    /// <returns>Empty for none, and for one that would lead out of the hierarchy.</returns>
    internal static string Relative(string path)
    {
        string[] parts = path.Split(':');
        if (parts.Length == 3 && parts[0].EndsWith(".slice", StringComparison.Ordinal))
        {
            // a-b.slice is in a.slice (systemd.slice(5)).
            string[] words = parts[0][..^".slice".Length].Split('-', StringSplitOptions.RemoveEmptyEntries);
            IEnumerable<string> slices = Enumerable.Range(1, words.Length).Select(n => string.Join('-', words.Take(n)) + ".slice");
            path = string.Join('/', slices.Append($"{parts[1]}-{parts[2]}.scope"));
        }

        string full = Path.GetFullPath("/" + path.TrimStart('/'));
        return path.Length == 0 || full == "/" ? "" : full[1..];
    }

    private static List<string>? FoldersOf(string path)
    {
        if (Relative(path) is not { Length: > 0 } relative)
        {
            return null;
        }

        if (IsUnified)
        {
            return [$"{Root}/{relative}"];
        }

        // Version 1: a hierarchy each; links name the same one twice.
        return Directory.Exists(Root)
            ? [.. Directory.EnumerateDirectories(Root)
                .Where(d => new DirectoryInfo(d).LinkTarget is null && File.Exists($"{d}/cgroup.procs"))
                .Select(d => $"{d}/{relative}")]
            : null;
    }

    // A new group of version 1 has no processors and no memory nodes, and takes no process before it has.
    private static void InheritCpuset(string folder)
    {
        foreach (string file in (string[])["cpuset.cpus", "cpuset.mems"])
        {
            string own = Path.Combine(folder, file);
            if (!folder.StartsWith($"{Root}/cpuset/", StringComparison.Ordinal) || !File.Exists(own))
            {
                return;
            }

            string parent = Path.GetDirectoryName(folder)!;
            if (File.ReadAllText(own).Trim().Length == 0)
            {
                if (parent.Length > $"{Root}/cpuset".Length)
                {
                    InheritCpuset(parent);
                }

                File.WriteAllText(own, File.ReadAllText(Path.Combine(parent, file)));
            }
        }
    }
}
