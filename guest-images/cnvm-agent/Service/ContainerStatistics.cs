using System.Globalization;
using Cnvm.Agent.Protocol;
using Cnvm.GuestAgent.Cgroups;

namespace Cnvm.GuestAgent.Service;

/// <summary>What a control group and the sandbox's interfaces have counted, as Kata's message.</summary>
internal static class ContainerStatistics
{
    private const ulong NanosecondsInMicrosecond = 1000;

    public static StatsContainerResponse Of(ControlGroup group)
    {
        Dictionary<string, ulong> cpu = group.Numbers("cpu.stat");
        Dictionary<string, ulong> memory = group.Numbers("memory.stat");
        Dictionary<string, ulong> events = group.Numbers("memory.events");
        foreach (KeyValuePair<string, ulong> count in events)
        {
            // Kata's message has no place of its own for them.
            memory["events." + count.Key] = count.Value;
        }

        return new StatsContainerResponse
        {
            CgroupStats = new CgroupStats
            {
                CpuStats = new CpuStats
                {
                    CpuUsage = new CpuUsage
                    {
                        TotalUsage = cpu.GetValueOrDefault("usage_usec") * NanosecondsInMicrosecond,
                        UsageInUsermode = cpu.GetValueOrDefault("user_usec") * NanosecondsInMicrosecond,
                        UsageInKernelmode = cpu.GetValueOrDefault("system_usec") * NanosecondsInMicrosecond,
                    },
                    ThrottlingData = new ThrottlingData
                    {
                        Periods = cpu.GetValueOrDefault("nr_periods"),
                        ThrottledPeriods = cpu.GetValueOrDefault("nr_throttled"),
                        ThrottledTime = cpu.GetValueOrDefault("throttled_usec") * NanosecondsInMicrosecond,
                    },
                },
                MemoryStats = new MemoryStats
                {
                    Cache = memory.GetValueOrDefault("file"),
                    Usage = new MemoryData
                    {
                        Usage = group.Number("memory.current") ?? 0,
                        MaxUsage = group.Number("memory.peak") ?? 0,
                        Limit = group.Number("memory.max") ?? 0,
                        Failcnt = events.GetValueOrDefault("max"),
                    },
                    SwapUsage = new MemoryData { Usage = group.Number("memory.swap.current") ?? 0, Limit = group.Number("memory.swap.max") ?? 0 },
                    UseHierarchy = true,
                    Stats = memory,
                },
                PidsStats = new PidsStats { Current = group.Number("pids.current") ?? (ulong)group.Processes.Length, Limit = group.Number("pids.max") ?? 0 },
                BlkioStats = Disks(group.Lines("io.stat")),
            },
            NetworkStats = [.. Interfaces(File.ReadAllLines("/proc/net/dev"))],
        };
    }

    /// <param name="lines">Such as <c>254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0</c>.</param>
    internal static BlkioStats Disks(IEnumerable<string> lines)
    {
        var bytes = new List<BlkioStatsEntry>();
        var operations = new List<BlkioStatsEntry>();
        foreach (string[] words in lines.Select(l => l.Split(' ')))
        {
            string[] number = words[0].Split(':');
            if (number.Length != 2)
            {
                continue;
            }

            foreach (string[] pair in words[1..].Select(w => w.Split('=')).Where(p => p.Length == 2))
            {
                (List<BlkioStatsEntry>? list, string operation) = pair[0] switch
                {
                    "rbytes" => (bytes, "read"),
                    "wbytes" => (bytes, "write"),
                    "rios" => (operations, "read"),
                    "wios" => (operations, "write"),
                    _ => (null, ""),
                };
                list?.Add(new BlkioStatsEntry { Major = Number(number[0]), Minor = Number(number[1]), Op = operation, Value = Number(pair[1]) });
            }
        }

        return new BlkioStats { IoServiceBytesRecursive = bytes, IoServicedRecursive = operations };
    }

    /// <param name="lines">/proc/net/dev: two lines of titles, then a name and sixteen numbers.</param>
    internal static IEnumerable<NetworkStats> Interfaces(IEnumerable<string> lines)
    {
        foreach (string line in lines.Skip(2))
        {
            string[] words = line.Split((char[])[' ', ':'], StringSplitOptions.RemoveEmptyEntries);
            if (words.Length >= 13)
            {
                yield return new NetworkStats
                {
                    Name = words[0],
                    RxBytes = Number(words[1]),
                    RxPackets = Number(words[2]),
                    RxErrors = Number(words[3]),
                    RxDropped = Number(words[4]),
                    TxBytes = Number(words[9]),
                    TxPackets = Number(words[10]),
                    TxErrors = Number(words[11]),
                    TxDropped = Number(words[12]),
                };
            }
        }
    }

    private static ulong Number(string text) => ulong.TryParse(text, CultureInfo.InvariantCulture, out ulong n) ? n : 0;
}
