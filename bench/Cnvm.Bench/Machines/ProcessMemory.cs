using System.Globalization;

namespace Cnvm.Bench.Machines;

/// <summary>What /proc says of processes that the harness has not started itself (proc(5)). Sizes are KiB.</summary>
/// <param name="Resident">Resident pages.</param>
/// <param name="Proportional">The same, where pages that processes share count in equal parts.</param>
/// <param name="Guest">Proportional pages of the guest's memory, which are in neither of the two.</param>
internal sealed record ProcessMemory(long Resident, long Proportional, long Guest)
{
    /// <param name="guestKiB">Mappings of exactly this size are the guest's memory; 0: there is none.</param>
    /// <exception cref="MeasurementException">The process has gone, or the guest's memory is not found.</exception>
    public static ProcessMemory Of(int processId, long guestKiB)
    {
        long resident = 0;
        long proportional = 0;
        long guest = 0;
        bool isGuest = false;
        bool found = guestKiB == 0;
        try
        {
            foreach (string line in File.ReadLines($"/proc/{processId}/smaps"))
            {
                string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                switch (words[0])
                {
                    case "Size:":
                        isGuest = guestKiB > 0 && KiB(words) == guestKiB;
                        found |= isGuest;
                        break;
                    case "Rss:" when !isGuest:
                        resident += KiB(words);
                        break;
                    case "Pss:" when isGuest:
                        guest += KiB(words);
                        break;
                    case "Pss:":
                        proportional += KiB(words);
                        break;
                }
            }
        }
        catch (IOException e)
        {
            throw new MeasurementException($"the memory of process {processId} cannot be read: {e.Message}", e);
        }

        return found
            ? new ProcessMemory(resident, proportional, guest)
            : throw new MeasurementException($"no mapping of process {processId} has the {guestKiB} KiB of the guest's memory");
    }

    /// <summary>The first child of a process.</summary>
    public static int ChildOf(int parent)
    {
        foreach (int id in All())
        {
            // The name may have blanks and parentheses; the parent's number is the second word behind it.
            string stat = Read(id, "stat");
            if (stat.LastIndexOf(')') is var at and > 0 && stat[(at + 2)..].Split(' ')[1] == parent.ToString(CultureInfo.InvariantCulture))
            {
                return id;
            }
        }

        throw new MeasurementException($"process {parent} has no child");
    }

    /// <summary>Processes of one process's PID namespace whose name (15 letters of it) begins so.</summary>
    public static IReadOnlyList<int> InNamespaceOf(int first, string name)
    {
        string? space = Namespace(first);
        return [.. All().Where(id => Read(id, "comm").StartsWith(name, StringComparison.Ordinal) && space is not null && Namespace(id) == space)];
    }

    private static long KiB(string[] words) => long.Parse(words[1], CultureInfo.InvariantCulture);

    private static IEnumerable<int> All() => Directory.EnumerateDirectories("/proc")
        .Select(d => int.TryParse(Path.GetFileName(d), NumberStyles.None, CultureInfo.InvariantCulture, out int id) ? id : 0).Where(id => id > 0);

    private static string? Namespace(int id)
    {
        try
        {
            return new FileInfo($"/proc/{id}/ns/pid").LinkTarget;
        }
        catch (IOException)
        {
            // It has just ended.
            return null;
        }
    }

    private static string Read(int id, string file)
    {
        try
        {
            return File.ReadAllText($"/proc/{id}/{file}");
        }
        catch (IOException)
        {
            // It has just ended.
            return "";
        }
    }
}
