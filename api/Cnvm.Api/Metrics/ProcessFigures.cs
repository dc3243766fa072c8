using System.Globalization;

namespace Cnvm.Api.Metrics;

/// <summary>What the kernel says of this process (proc(5)).</summary>
/// <param name="CpuSeconds">Processor time in user and kernel mode.</param>
/// <param name="ResidentBytes">Memory in RAM, guest memory included.</param>
/// <param name="PrivateBytes">Of it, what belongs to no file and is not shared.</param>
internal readonly record struct ProcessFigures(
    double CpuSeconds, ulong ResidentBytes, ulong PrivateBytes, ulong VirtualBytes, int Threads, int OpenDescriptors, double StartTimeSeconds)
{
    /// <summary>Unit of times in /proc/self/stat: USER_HZ, which is 100 on x86-64.</summary>
    private const double TicksPerSecond = 100;

    /// <exception cref="IOException">/proc is not mounted.</exception>
    public static ProcessFigures Read()
    {
        Dictionary<string, ulong> status = ReadStatus();
        TimeSpan cpu = Environment.CpuUsage.TotalTime;
        return new ProcessFigures(
            cpu.TotalSeconds,
            status.GetValueOrDefault("VmRSS") << 10,
            status.GetValueOrDefault("RssAnon") << 10,
            status.GetValueOrDefault("VmSize") << 10,
            (int)status.GetValueOrDefault("Threads"),
            Directory.GetFileSystemEntries("/proc/self/fd").Length,
            StartTime());
    }

    /// <summary>Seconds since the epoch: the 22nd field of /proc/self/stat counts from the host's start.</summary>
    private static double StartTime()
    {
        const int FieldAfterName = 19;
        string stat = File.ReadAllText("/proc/self/stat");
        // The second field is the program's name in parentheses, which may contain anything.
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        double sinceBoot = ulong.Parse(fields[FieldAfterName], CultureInfo.InvariantCulture) / TicksPerSecond;
        string boot = File.ReadLines("/proc/stat").First(l => l.StartsWith("btime ", StringComparison.Ordinal));
        return ulong.Parse(boot.AsSpan("btime ".Length), CultureInfo.InvariantCulture) + sinceBoot;
    }

    /// <summary>Numbers of /proc/self/status; memory is in KiB.</summary>
    private static Dictionary<string, ulong> ReadStatus()
    {
        var values = new Dictionary<string, ulong>(StringComparer.Ordinal);
        foreach (string line in File.ReadLines("/proc/self/status"))
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            ReadOnlySpan<char> value = line.AsSpan(colon + 1).Trim();
            int space = value.IndexOf(' ');
            if (colon > 0 && ulong.TryParse(space < 0 ? value : value[..space], NumberStyles.None, CultureInfo.InvariantCulture, out ulong number))
            {
                values[line[..colon]] = number;
            }
        }

        return values;
    }
}
