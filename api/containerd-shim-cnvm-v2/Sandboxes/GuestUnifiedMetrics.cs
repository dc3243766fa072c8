using Cnvm.Agent.Protocol;
using Cnvm.Shim.Metrics;

namespace Cnvm.Shim.Sandboxes;

/// <summary>The agent's figures in the form that containerd reads on a host with the unified hierarchy, whichever the guest has.</summary>
internal static class GuestUnifiedMetrics
{
    private const ulong NanosecondsInMicrosecond = 1000;

    public static UnifiedMetrics Of(StatsContainerResponse stats) => new()
    {
        Pids = stats.CgroupStats?.PidsStats is { } pids ? new PidsMetrics { Current = pids.Current, Limit = Limit(pids.Limit) } : null,
        Cpu = stats.CgroupStats?.CpuStats is { } cpu ? Of(cpu) : null,
        Memory = stats.CgroupStats?.MemoryStats is { } memory ? Of(memory) : null,
        MemoryEvents = stats.CgroupStats?.MemoryStats is { } events ? EventsOf(events) : null,
        Disks = stats.CgroupStats?.BlkioStats is { } disks ? Of(disks) : null,
        Network = GuestMetrics.Interfaces(stats),
    };

    private static UnifiedCpu Of(CpuStats cpu) => new()
    {
        Usage = (cpu.CpuUsage?.TotalUsage ?? 0) / NanosecondsInMicrosecond,
        User = (cpu.CpuUsage?.UsageInUsermode ?? 0) / NanosecondsInMicrosecond,
        System = (cpu.CpuUsage?.UsageInKernelmode ?? 0) / NanosecondsInMicrosecond,
        Periods = cpu.ThrottlingData?.Periods ?? 0,
        ThrottledPeriods = cpu.ThrottlingData?.ThrottledPeriods ?? 0,
        ThrottledTime = (cpu.ThrottlingData?.ThrottledTime ?? 0) / NanosecondsInMicrosecond,
    };

    private static UnifiedMemory Of(MemoryStats memory)
    {
        return new UnifiedMemory
        {
            // Version 2 of control groups has the first name, version 1 the other one.
            Anon = Detail("anon", "total_rss"),
            File = Detail("file", "total_cache"),
            KernelStack = Detail("kernel_stack"),
            Slab = Detail("slab"),
            Sock = Detail("sock"),
            Shmem = Detail("shmem", "total_shmem"),
            FileMapped = Detail("file_mapped", "total_mapped_file"),
            FileDirty = Detail("file_dirty", "total_dirty"),
            FileWriteback = Detail("file_writeback", "total_writeback"),
            AnonThp = Detail("anon_thp", "total_rss_huge"),
            InactiveAnon = Detail("inactive_anon"),
            ActiveAnon = Detail("active_anon"),
            InactiveFile = Detail("inactive_file"),
            ActiveFile = Detail("active_file"),
            Unevictable = Detail("unevictable"),
            SlabReclaimable = Detail("slab_reclaimable"),
            SlabUnreclaimable = Detail("slab_unreclaimable"),
            PageFaults = Detail("pgfault"),
            MajorPageFaults = Detail("pgmajfault"),
            WorkingsetRefault = Detail("workingset_refault_anon") + Detail("workingset_refault_file", "workingset_refault"),
            WorkingsetActivate = Detail("workingset_activate_anon") + Detail("workingset_activate_file", "workingset_activate"),
            WorkingsetNodeReclaim = Detail("workingset_nodereclaim"),
            PageRefill = Detail("pgrefill"),
            PageScan = Detail("pgscan"),
            PageSteal = Detail("pgsteal"),
            PageActivate = Detail("pgactivate"),
            PageDeactivate = Detail("pgdeactivate"),
            PageLazyFree = Detail("pglazyfree"),
            PageLazyFreed = Detail("pglazyfreed"),
            ThpFaultAlloc = Detail("thp_fault_alloc"),
            ThpCollapseAlloc = Detail("thp_collapse_alloc"),
            Usage = memory.Usage?.Usage ?? 0,
            UsageLimit = Limit(memory.Usage?.Limit ?? 0),
            MaxUsage = memory.Usage?.MaxUsage ?? 0,
            SwapUsage = memory.SwapUsage?.Usage ?? 0,
            SwapLimit = Limit(memory.SwapUsage?.Limit ?? 0),
        };

        ulong Detail(string first, string? second = null) =>
            memory.Stats.TryGetValue(first, out ulong value) || (second is not null && memory.Stats.TryGetValue(second, out value)) ? value : 0;
    }

    // The agent of these images has the lines of memory.events among those of memory.stat; others count failures only.
    private static UnifiedMemoryEvents EventsOf(MemoryStats memory) => new()
    {
        Low = memory.Stats.GetValueOrDefault("events.low"),
        High = memory.Stats.GetValueOrDefault("events.high"),
        Max = memory.Usage?.Failcnt ?? 0,
        OutOfMemory = memory.Stats.GetValueOrDefault("events.oom"),
        Kills = memory.Stats.GetValueOrDefault("events.oom_kill"),
    };

    private static UnifiedDisks Of(BlkioStats disks)
    {
        var found = new Dictionary<(ulong Major, ulong Minor), UnifiedDisk>();
        foreach (BlkioStatsEntry entry in disks.IoServiceBytesRecursive)
        {
            UnifiedDisk disk = Find(entry);
            found[(entry.Major, entry.Minor)] = IsRead(entry) ? disk with { ReadBytes = entry.Value }
                : IsWrite(entry) ? disk with { WrittenBytes = entry.Value } : disk;
        }

        foreach (BlkioStatsEntry entry in disks.IoServicedRecursive)
        {
            UnifiedDisk disk = Find(entry);
            found[(entry.Major, entry.Minor)] = IsRead(entry) ? disk with { Reads = entry.Value }
                : IsWrite(entry) ? disk with { Writes = entry.Value } : disk;
        }

        return new UnifiedDisks { Usage = [.. found.Values.OrderBy(d => (d.Major, d.Minor))] };

        UnifiedDisk Find(BlkioStatsEntry entry) =>
            found.GetValueOrDefault((entry.Major, entry.Minor)) ?? new UnifiedDisk { Major = entry.Major, Minor = entry.Minor };

        static bool IsRead(BlkioStatsEntry entry) => entry.Op.Equals("read", StringComparison.OrdinalIgnoreCase);

        static bool IsWrite(BlkioStatsEntry entry) => entry.Op.Equals("write", StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>The agent's messages have 0 for no limit, this one the largest number, as containerd's reader makes it of <c>max</c>.</summary>
    private static ulong Limit(ulong value) => value == 0 ? ulong.MaxValue : value;
}
