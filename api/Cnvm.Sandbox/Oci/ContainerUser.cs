using System.Globalization;
using System.Text;
using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Sandbox.Oci;

/// <summary>As whom a process of a container runs, found in the container's own passwd(5) and group(5).</summary>
/// <param name="User">Number.</param>
/// <param name="Group">Number.</param>
/// <param name="Groups">Further groups.</param>
/// <param name="Home">Home directory; / if it is not known.</param>
internal sealed record ContainerUser(uint User, uint Group, IReadOnlyList<uint> Groups, string Home)
{
    private const int MaxFileBytes = 1 << 20;
    private const int PasswdFields = 7;
    private const int GroupFields = 4;

    /// <param name="text">user, or user:group, each a name or a number; empty for root.</param>
    /// <param name="rootfs">The container's root file system on the host.</param>
    /// <exception cref="SandboxException">There is no such name.</exception>
    public static ContainerUser Find(string text, string rootfs)
    {
        string[] parts = text.Split(':', 2);
        string wantedUser = parts[0].Length == 0 ? "0" : parts[0];
        List<string[]> users = Read(rootfs, "etc/passwd", PasswdFields);
        string[]? entry = users.Find(u => u[0] == wantedUser) ?? users.Find(u => u[2] == wantedUser);
        uint user = Number(entry?[2] ?? wantedUser)
            ?? throw new SandboxException(SandboxErrorKind.Invalid, $"the container's /etc/passwd has no user '{wantedUser}'; a number needs no entry");
        if (parts.Length > 1)
        {
            List<string[]> groups = Read(rootfs, "etc/group", GroupFields);
            uint group = Number(groups.Find(g => g[0] == parts[1])?[2] ?? parts[1])
                ?? throw new SandboxException(SandboxErrorKind.Invalid, $"the container's /etc/group has no group '{parts[1]}'; a number needs no entry");
            return new ContainerUser(user, group, [], entry?[5] ?? "/");
        }

        var further = new List<uint>();
        foreach (string[] group in entry is null ? [] : Read(rootfs, "etc/group", GroupFields))
        {
            if (group[3].Split(',').Contains(entry![0]) && Number(group[2]) is { } number)
            {
                further.Add(number);
            }
        }

        return new ContainerUser(user, (entry is null ? null : Number(entry[3])) ?? 0, further, entry?[5] is { Length: > 0 } home ? home : "/");
    }

    private static uint? Number(string text) =>
        uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint number) && number < uint.MaxValue ? number : null;

    private static List<string[]> Read(string rootfs, string name, int fields)
    {
        using DirectoryTree tree = DirectoryTree.Open(rootfs);
        using SafeFileHandle? file = tree.TryOpenFile(name);
        if (file is null)
        {
            return [];
        }

        byte[] data = new byte[Math.Min(RandomAccess.GetLength(file), MaxFileBytes)];
        int count = RandomAccess.Read(file, data, 0);
        var entries = new List<string[]>();
        foreach (string line in Encoding.UTF8.GetString(data, 0, count).Split('\n'))
        {
            string[] words = line.Split(':');
            if (words.Length >= fields)
            {
                entries.Add(words);
            }
        }

        return entries;
    }
}
