using System.Globalization;

namespace Cnvm.Linux;

/// <summary>Finds who holds an open-file-description lock: such locks carry no process id, but fdinfo shows them (proc(5)).</summary>
internal static class LockHolders
{
    /// <summary>Process id of a holder other than this process where there is one, else this process, else -1.</summary>
    public static int Find(ulong inode)
    {
        string mark = string.Create(CultureInfo.InvariantCulture, $":{inode} ");
        int found = -1;
        foreach (string process in Directory.EnumerateDirectories("/proc"))
        {
            string name = Path.GetFileName(process);
            if (!int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int pid) || !Holds(process, mark))
            {
                continue;
            }

            if (pid != Environment.ProcessId)
            {
                return pid;
            }

            found = pid;
        }

        return found;
    }

    private static bool Holds(string process, string mark)
    {
        try
        {
            foreach (string info in Directory.EnumerateFiles(process + "/fdinfo"))
            {
                if (HasLock(info, mark))
                {
                    return true;
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The process ended meanwhile, or belongs to another user: it cannot be named.
            return false;
        }

        return false;
    }

    private static bool HasLock(string info, string mark)
    {
        try
        {
            foreach (string line in File.ReadLines(info))
            {
                if (line.StartsWith("lock:", StringComparison.Ordinal) && line.Contains(mark, StringComparison.Ordinal))
                {
                    return true;
                }
            }
        }
        catch (IOException)
        {
            // The descriptor was closed meanwhile: it holds nothing.
            return false;
        }

        return false;
    }
}
