using System.Globalization;

namespace Cnvm.Linux;

/// <summary>What is resident of the program's and its libraries' files.</summary>
public static class ProgramPages
{
    private const string AnonymousField = "Anonymous:";

    /// <summary>
    /// Gives back the pages of code and constants: what start-up alone has used stays away, and what is used again comes back from the
    /// page cache, some sixteen pages with each fault. Mappings that hold a changed page (relocated data) are left alone.
    /// </summary>
    /// <remarks>Reads <c>/proc/self/smaps</c>, which walks the page tables: not for a process whose guest has touched much memory.</remarks>
    public static void GiveBack() => GiveBack(program: null);

    /// <summary>
    /// The same for the program's own file, whose mappings are the first of all, so that the page tables of the guest's memory are not walked: a fraction of
    /// a millisecond. Where something else lies below it (the legacy layout of memory), nothing is given back.
    /// </summary>
    public static void GiveBackProgram()
    {
        if (Environment.ProcessPath is { } program)
        {
            GiveBack(program);
        }
    }

    /// <param name="program">Mappings of this file alone, up to the first one of another; null for all.</param>
    private static void GiveBack(string? program)
    {
        const string Mappings = "/proc/self/smaps";
        if (!File.Exists(Mappings))
        {
            // A kernel without CONFIG_PROC_PAGE_MONITOR.
            return;
        }

        ulong start = 0;
        ulong end = 0;
        bool isCandidate = false;
        foreach (string line in File.ReadLines(Mappings))
        {
            if (TryParseMapping(line, out bool isCode, out ulong first, out ulong last))
            {
                if (program is not null && !line.Contains(program, StringComparison.Ordinal))
                {
                    return;
                }

                (isCandidate, start, end) = (isCode, first, last);
            }
            else if (isCandidate && line.StartsWith(AnonymousField, StringComparison.Ordinal)
                && line.AsSpan(AnonymousField.Length).Trim().SequenceEqual("0 kB"))
            {
                // Nothing in it differs from the file, so that nothing is lost (madvise(2), MADV_DONTNEED). Locked memory (mlockall)
                // refuses, and stays as it is.
                _ = Libc.madvise((nint)start, (nuint)(end - start), Libc.MADV_DONTNEED);
            }
        }
    }

    /// <summary>The first line of a mapping: "start-end perms offset device inode path" (proc(5)).</summary>
    /// <param name="isCode">Private, not writable, and of a file.</param>
    internal static bool TryParseMapping(string line, out bool isCode, out ulong start, out ulong end)
    {
        start = end = 0;
        isCode = false;
        int dash = line.IndexOf('-', StringComparison.Ordinal);
        int space = line.IndexOf(' ', StringComparison.Ordinal);
        if (dash <= 0 || space <= dash || line.Length < space + 5
            || !ulong.TryParse(line.AsSpan(0, dash), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out start)
            || !ulong.TryParse(line.AsSpan(dash + 1, space - dash - 1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out end))
        {
            return false;
        }

        ReadOnlySpan<char> permissions = line.AsSpan(space + 1, 4);
        isCode = permissions is "r-xp" or "r--p" && line.Contains('/', StringComparison.Ordinal);
        return true;
    }
}
