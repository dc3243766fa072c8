using System.Text;
using Cnvm.Linux;

namespace Cnvm.Sandbox.Machine;

/// <summary>What is mounted below a folder of this process's mount namespace (proc_pid_mountinfo(5)).</summary>
internal static class MountTable
{
    private const int MountPointField = 4;

    /// <summary>Mount points below a folder, the last mounted first.</summary>
    public static List<string> Below(string folder)
    {
        var points = new List<string>();
        foreach (string line in File.ReadLines("/proc/self/mountinfo"))
        {
            string point = Unescape(line.Split(' ')[MountPointField]);
            if (point.StartsWith(folder + "/", StringComparison.Ordinal))
            {
                points.Add(point);
            }
        }

        points.Reverse();
        return points;
    }

    /// <summary>Takes away everything that is mounted below a folder.</summary>
    /// <exception cref="IOException">Something stays mounted.</exception>
    public static void UnmountBelow(string folder) => UnmountBelow(folder, Mounts.Unmount);

    /// <param name="unmount">Takes away what is mounted at a path of the table, if it is still there.</param>
    /// <inheritdoc cref="UnmountBelow(string)"/>
    public static void UnmountBelow(string folder, Action<string> unmount)
    {
        foreach (string point in Below(folder))
        {
            unmount(point);
        }

        if (Below(folder) is [{ } left, ..])
        {
            throw new SandboxException(SandboxErrorKind.Host, $"{left} is still mounted, so {folder} is not removed: umount it, and remove the folder");
        }
    }

    /// <summary>White space and backslashes stand there as \ and three octal digits.</summary>
    private static string Unescape(string text)
    {
        var result = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
        {
            bool escaped = text[i] == '\\' && i + 3 < text.Length;
            result.Append(escaped
                ? (char)(((text[i + 1] - '0') * 64) + ((text[i + 2] - '0') * 8) + (text[i + 3] - '0'))
                : text[i]);
            i += escaped ? 3 : 0;
        }

        return result.ToString();
    }
}
