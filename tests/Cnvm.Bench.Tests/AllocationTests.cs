using Cnvm.Micro;

namespace Cnvm.Bench.Tests;

/// <summary>Runs alone, as it looks at all threads of the process.</summary>
[Collection(nameof(AllocationTests))]
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
public sealed class AllocationTests
{
    [Fact]
    public void Hot_paths_allocate_nothing()
    {
        var lines = new StringWriter();
        Assert.True(AllocationCheck.Run(lines), lines.ToString());
    }

    [Fact]
    public void An_allocation_is_seen()
    {
        object? kept = null;
        double bytes = AllocationCheck.BytesPerOperation(() => kept = new byte[100]);
        GC.KeepAlive(kept);
        Assert.InRange(bytes, 100, 200);
    }

    [Fact]
    public void An_allocation_of_another_thread_is_seen()
    {
        using var asked = new SemaphoreSlim(0);
        using var done = new SemaphoreSlim(0);
        object? kept = null;
        bool ends = false;
        var thread = new Thread(() =>
        {
            while (true)
            {
                asked.Wait();
                if (Volatile.Read(ref ends))
                {
                    return;
                }

                kept = new byte[100];
                done.Release();
            }
        });
        thread.Start();
        double bytes = AllocationCheck.BytesOnOtherThreads(
            () =>
            {
                asked.Release();
                done.Wait();
            },
            rounds: 2);
        Volatile.Write(ref ends, true);
        asked.Release();
        thread.Join();
        GC.KeepAlive(kept);
        Assert.InRange(bytes, 100, 1000);
    }
}
