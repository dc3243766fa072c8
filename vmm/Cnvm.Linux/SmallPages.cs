using System.Globalization;

namespace Cnvm.Linux;

/// <summary>
/// Keeps the program's own memory out of transparent huge pages (Documentation/admin-guide/mm/transhuge.rst). Where they are always on, the
/// kernel gives a thread's stack of which one page was touched 2 MiB, at once or later (khugepaged).
/// </summary>
public static class SmallPages
{
    private const ulong HugePageBytes = 2 << 20;

    /// <summary>
    /// Takes huge pages from everything anonymous that is mapped now: the framework's heap, which reserves its whole range at the start,
    /// and the stacks of its threads. Guest RAM is mapped later and asks for its own kind of page.
    /// </summary>
    public static void UseForMappedMemory()
    {
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            if (!TryParse(line, out ulong start, out ulong end) || end - start < HugePageBytes)
            {
                continue;
            }

            // Advice: a kernel without transparent huge pages refuses it (EINVAL), and then there is nothing to keep out of.
            _ = Libc.madvise((nint)start, (nuint)(end - start), Libc.MADV_NOHUGEPAGE);
        }
    }

    /// <summary>Reads the range of a private mapping without a file: "start-end rwxp offset device inode" (proc(5)).</summary>
    internal static bool TryParse(ReadOnlySpan<char> line, out ulong start, out ulong end)
    {
        start = end = 0;
        int dash = line.IndexOf('-');
        int space = line.IndexOf(' ');
        const int PermissionsLength = 5;
        return dash > 0 && space > dash && line.Length > space + PermissionsLength
            && line[space + PermissionsLength - 1] == 'p' && line.TrimEnd().EndsWith(" 00:00 0", StringComparison.Ordinal)
            && ulong.TryParse(line[..dash], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out start)
            && ulong.TryParse(line[(dash + 1)..space], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out end);
    }
}
