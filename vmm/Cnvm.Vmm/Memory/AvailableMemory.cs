using System.Globalization;

namespace Cnvm.Vmm.Memory;

/// <summary>What the host can still give to programs without ending one (proc(5), /proc/meminfo).</summary>
internal static class AvailableMemory
{
    /// <summary>Bytes, swap included, at this moment.</summary>
    public static ulong Read()
    {
        ulong available = 0;
        foreach (string line in File.ReadLines("/proc/meminfo"))
        {
            if (line.StartsWith("MemAvailable:", StringComparison.Ordinal) || line.StartsWith("SwapFree:", StringComparison.Ordinal))
            {
                string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                available += ulong.Parse(words[1], CultureInfo.InvariantCulture) << 10;
            }
        }

        return available;
    }
}
