using System.Globalization;
using Cnvm.Agent.Protocol;
using Cnvm.Shim.Metrics;

namespace Cnvm.Shim.Sandboxes;

/// <summary>The agent's figures in the form that containerd reads on a host without the unified hierarchy: the same, under other numbers.</summary>
internal static class GuestMetrics
{
    public static CgroupMetrics Of(StatsContainerResponse stats) => new()
    {
        Pids = stats.CgroupStats?.PidsStats is { } pids ? new PidsMetrics { Current = pids.Current, Limit = pids.Limit } : null,
        Cpu = stats.CgroupStats?.CpuStats is { } cpu ? Of(cpu) : null,
        Memory = stats.CgroupStats?.MemoryStats is { } memory ? Of(memory) : null,
        BlockIo = stats.CgroupStats?.BlkioStats is { } disks ? Of(disks) : null,
        Network = Interfaces(stats),
    };

    /// <summary>Interfaces have the same figures in both forms.</summary>
    public static IReadOnlyList<NetworkMetrics> Interfaces(StatsContainerResponse stats) =>
    [.. stats.NetworkStats.Select(n => new NetworkMetrics
    {
        Name = n.Name,
        RxBytes = n.RxBytes,
        RxPackets = n.RxPackets,
        RxErrors = n.RxErrors,
        RxDropped = n.RxDropped,
        TxBytes = n.TxBytes,
        TxPackets = n.TxPackets,
        TxErrors = n.TxErrors,
        TxDropped = n.TxDropped,
    })];

    private static CpuMetrics Of(CpuStats cpu) => new()
    {
        Usage = cpu.CpuUsage is { } usage
            ? new CpuUsageMetrics { Total = usage.TotalUsage, Kernel = usage.UsageInKernelmode, User = usage.UsageInUsermode, PerCpu = usage.PercpuUsage }
            : null,
        Throttling = cpu.ThrottlingData is { } throttling
            ? new ThrottleMetrics { Periods = throttling.Periods, ThrottledPeriods = throttling.ThrottledPeriods, ThrottledTime = throttling.ThrottledTime }
            : null,
    };

    private static MemoryMetrics Of(MemoryStats memory)
    {
        return new MemoryMetrics
        {
            Cache = memory.Cache,
            // Version 1 of control groups has the first name, version 2 the other one.
            Rss = Detail("rss", "anon"),
            RssHuge = Detail("rss_huge", "anon_thp"),
            MappedFile = Detail("mapped_file", "file_mapped"),
            Dirty = Detail("dirty", "file_dirty"),
            Writeback = Detail("writeback", "file_writeback"),
            PagesIn = Detail("pgpgin", "pgpgin"),
            PagesOut = Detail("pgpgout", "pgpgout"),
            Faults = Detail("pgfault", "pgfault"),
            MajorFaults = Detail("pgmajfault", "pgmajfault"),
            InactiveAnon = Detail("inactive_anon", "inactive_anon"),
            ActiveAnon = Detail("active_anon", "active_anon"),
            InactiveFile = Detail("inactive_file", "inactive_file"),
            ActiveFile = Detail("active_file", "active_file"),
            Unevictable = Detail("unevictable", "unevictable"),
            HierarchicalMemoryLimit = Detail("hierarchical_memory_limit", "hierarchical_memory_limit"),
            HierarchicalSwapLimit = Detail("hierarchical_memsw_limit", "hierarchical_memsw_limit"),
            TotalCache = Detail("total_cache", "file"),
            TotalRss = Detail("total_rss", "anon"),
            TotalInactiveAnon = Detail("total_inactive_anon", "inactive_anon"),
            TotalActiveAnon = Detail("total_active_anon", "active_anon"),
            // The kubelet takes it from the usage, to have the working set.
            TotalInactiveFile = Detail("total_inactive_file", "inactive_file"),
            TotalActiveFile = Detail("total_active_file", "active_file"),
            Usage = Entry(memory.Usage),
            Swap = Entry(memory.SwapUsage),
            Kernel = Entry(memory.KernelUsage),
        };

        ulong Detail(string first, string second) =>
            memory.Stats.TryGetValue(first, out ulong value) || memory.Stats.TryGetValue(second, out value) ? value : 0;

        static Metrics.MemoryEntry? Entry(MemoryData? data) =>
            data is null ? null : new Metrics.MemoryEntry { Limit = data.Limit, Usage = data.Usage, Max = data.MaxUsage, Failures = data.Failcnt };
    }

    private static BlockIoMetrics Of(BlkioStats disks)
    {
        return new BlockIoMetrics
        {
            ServiceBytes = Entries(disks.IoServiceBytesRecursive),
            Serviced = Entries(disks.IoServicedRecursive),
            Queued = Entries(disks.IoQueuedRecursive),
            ServiceTime = Entries(disks.IoServiceTimeRecursive),
            WaitTime = Entries(disks.IoWaitTimeRecursive),
            Merged = Entries(disks.IoMergedRecursive),
            Time = Entries(disks.IoTimeRecursive),
            Sectors = Entries(disks.SectorsRecursive),
        };

        static IReadOnlyList<BlockIoEntry> Entries(IReadOnlyList<BlkioStatsEntry> entries) => [.. entries.Select(e => new BlockIoEntry
        {
            Operation = e.Op,
            Device = string.Create(CultureInfo.InvariantCulture, $"{e.Major}:{e.Minor}"),
            Major = e.Major,
            Minor = e.Minor,
            Value = e.Value,
        })];
    }
}
