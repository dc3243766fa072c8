using Cnvm.Agent.Protocol;
using Cnvm.Shim.Messages;
using Cnvm.Shim.Metrics;
using Cnvm.Shim.Sandboxes;
using Cnvm.Shim.Tests.Harness;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Tests;

/// <summary>A guest's figures in the forms that hosts have.</summary>
public sealed class MetricsTests
{
    private static readonly StatsContainerResponse Stats = new()
    {
        CgroupStats = new CgroupStats
        {
            PidsStats = new PidsStats { Current = 3, Limit = 100 },
            CpuStats = new CpuStats
            {
                CpuUsage = new CpuUsage { TotalUsage = 5_000_999, UsageInUsermode = 3_000_000, UsageInKernelmode = 2_000_000 },
                ThrottlingData = new ThrottlingData { Periods = 7, ThrottledPeriods = 2, ThrottledTime = 9000 },
            },
            MemoryStats = new MemoryStats
            {
                Usage = new MemoryData { Usage = 4096, MaxUsage = 8192, Failcnt = 6 },
                SwapUsage = new MemoryData { Usage = 1, Limit = 65536 },
                Stats = new Dictionary<string, ulong>
                {
                    ["anon"] = 11, ["file"] = 12, ["slab"] = 13, ["inactive_file"] = 14, ["pgmajfault"] = 15, ["thp_collapse_alloc"] = 16,
                    ["workingset_refault_anon"] = 1, ["workingset_refault_file"] = 2, ["events.oom"] = 4, ["events.oom_kill"] = 3,
                },
            },
            BlkioStats = new BlkioStats
            {
                IoServiceBytesRecursive =
                [
                    new BlkioStatsEntry { Major = 254, Minor = 16, Op = "write", Value = 512 }, new BlkioStatsEntry { Major = 254, Op = "Read", Value = 4096 },
                    new BlkioStatsEntry { Major = 254, Minor = 16, Op = "Total", Value = 99 },
                ],
                IoServicedRecursive = [new BlkioStatsEntry { Major = 254, Minor = 16, Op = "write", Value = 1 }],
            },
        },
        NetworkStats = [new NetworkStats { Name = "eth0", RxBytes = 1, TxDropped = 8 }],
    };

    [Fact]
    public void The_unified_form_has_microseconds_and_the_largest_number_for_no_limit()
    {
        UnifiedMetrics metrics = UnifiedMetrics.Read(ProtoAny.Of("m", GuestUnifiedMetrics.Of(Stats)).Value.Span);

        Assert.Equal(new PidsMetrics { Current = 3, Limit = 100 }, metrics.Pids);
        Assert.Equal(new UnifiedCpu { Usage = 5000, User = 3000, System = 2000, Periods = 7, ThrottledPeriods = 2, ThrottledTime = 9 }, metrics.Cpu);
        Assert.Equal(
            new UnifiedMemory
            {
                Anon = 11, File = 12, Slab = 13, InactiveFile = 14, MajorPageFaults = 15, ThpCollapseAlloc = 16, WorkingsetRefault = 3,
                Usage = 4096, UsageLimit = ulong.MaxValue, MaxUsage = 8192, SwapUsage = 1, SwapLimit = 65536,
            },
            metrics.Memory);
        Assert.Equal(new UnifiedMemoryEvents { Max = 6, OutOfMemory = 4, Kills = 3 }, metrics.MemoryEvents);
        Assert.Equal(
            [new UnifiedDisk { Major = 254, ReadBytes = 4096 }, new UnifiedDisk { Major = 254, Minor = 16, WrittenBytes = 512, Writes = 1 }],
            metrics.Disks!.Usage);
        Assert.Equal([new NetworkMetrics { Name = "eth0", RxBytes = 1, TxDropped = 8 }], metrics.Network);
    }

    [Fact]
    public void A_guest_with_the_first_version_inside_has_its_figures_under_the_unified_names()
    {
        var stats = new StatsContainerResponse
        {
            CgroupStats = new CgroupStats
            {
                MemoryStats = new MemoryStats { Stats = new Dictionary<string, ulong> { ["total_rss"] = 21, ["total_cache"] = 22, ["rss"] = 1 } },
            },
        };
        UnifiedMetrics metrics = GuestUnifiedMetrics.Of(stats);
        Assert.Equal((21UL, 22UL), (metrics.Memory!.Anon, metrics.Memory.File));
        Assert.Null(metrics.Cpu);
    }

    [Fact]
    public void Fields_have_the_numbers_of_the_unified_form()
    {
        // io.containerd.cgroups.v2: cpu is 2 and its throttled_usec 6; memory is 4 and its max_usage 36 (a tag of two bytes); io is 6, memory_events 8.
        byte[] bytes = ProtoAny.Of("m", new UnifiedMetrics
        {
            Cpu = new UnifiedCpu { ThrottledTime = 1 },
            Memory = new UnifiedMemory { MaxUsage = 1 },
            Disks = new UnifiedDisks { Usage = [new UnifiedDisk { Writes = 1 }] },
            MemoryEvents = new UnifiedMemoryEvents { Kills = 1 },
        }).Value.ToArray();
        Assert.Equal("12023001" + "2203A00201" + "32040A023001" + "42022801", Convert.ToHexString(bytes));
    }

    [Fact]
    public async Task A_host_with_the_unified_hierarchy_is_told_in_its_form()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync(isUnified: true);
        await shim.RunAsync("c1", "exec sleep 1000");
        ProtoAny stats = (await shim.Client.CallAsync<StatsRequest, StatsResponse>("Stats", new() { Id = "c1" })).Stats!;
        Assert.Equal("io.containerd.cgroups.v2.Metrics", stats.TypeUrl);
        UnifiedMetrics metrics = UnifiedMetrics.Read(stats.Value.Span);
        Assert.Equal((4096UL, 3UL, ulong.MaxValue), (metrics.Memory!.Usage, metrics.Pids!.Current, metrics.Pids.Limit));
    }
}
