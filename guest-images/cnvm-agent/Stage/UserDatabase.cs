using System.Globalization;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Stage;

/// <summary>Users and groups by name from a container's /etc/passwd and /etc/group, which may say anything, or be missing.</summary>
internal static class UserDatabase
{
    private const int MostBytes = 4 << 20;
    private const int MostGroups = 1024;

    /// <exception cref="StageException">The name is not known.</exception>
    public static UserEntry Resolve(StagePlan plan)
    {
        using var root = new RootedDirectory("/");
        return Resolve(plan, Lines(root, "etc/passwd"), Lines(root, "etc/group"));
    }

    /// <param name="users">Lines of passwd(5).</param>
    /// <param name="groups">Lines of group(5).</param>
    /// <exception cref="StageException">The name is not known.</exception>
    public static UserEntry Resolve(StagePlan plan, IReadOnlyList<string> users, IReadOnlyList<string> groups)
    {
        if (plan.UserName.Length == 0)
        {
            string home = users.Select(Fields).FirstOrDefault(f => f.Length >= 6 && Number(f[2]) == plan.UserId)?[5] ?? "/";
            return new UserEntry(plan.UserId, plan.GroupId, plan.AdditionalGroups, home.Length == 0 ? "/" : home);
        }

        string[] parts = plan.UserName.Split(':', 2);
        string[]? user = users.Select(Fields).FirstOrDefault(f => f.Length >= 6 && f[0] == parts[0])
            ?? users.Select(Fields).FirstOrDefault(f => f.Length >= 6 && Number(parts[0]) is { } n && Number(f[2]) == n);
        uint id = (user is null ? Number(parts[0]) : Number(user[2]))
            ?? throw new StageException($"user '{parts[0]}' is not in the container's /etc/passwd");
        uint group = (user is null ? 0 : Number(user[3])) ?? 0;
        var further = new List<uint>(plan.AdditionalGroups);
        if (parts.Length == 2)
        {
            string number = groups.Select(Fields).FirstOrDefault(f => f.Length >= 3 && f[0] == parts[1])?[2] ?? parts[1];
            group = Number(number)
                ?? throw new StageException($"group '{parts[1]}' is not in the container's /etc/group");
        }
        else if (user is not null)
        {
            foreach (string[] fields in groups.Select(Fields).Where(f => f.Length >= 4 && f[3].Split(',').Contains(user[0])).Take(MostGroups))
            {
                if (Number(fields[2]) is { } member && member != group)
                {
                    further.Add(member);
                }
            }
        }

        return new UserEntry(id, group, further, user is { } u && u[5].Length > 0 ? u[5] : "/");
    }

    private static string[] Fields(string line) => line.Split(':');

    private static uint? Number(string text) => uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint n) ? n : null;

    private static string[] Lines(RootedDirectory root, string path)
    {
        // A pipe of that name must not make the stage wait.
        using FileDescriptor? file = root.TryOpen(path, Libc.O_RDONLY | Libc.O_NONBLOCK, 0, out _);
        if (file is null)
        {
            return [];
        }

        byte[] bytes = new byte[MostBytes];
        int length = 0;
        int read;
        while (length < bytes.Length && (read = FileIo.Read(file.Value, bytes.AsSpan(length))) > 0)
        {
            length += read;
        }

        return System.Text.Encoding.UTF8.GetString(bytes, 0, length).Split('\n');
    }
}
