namespace Cnvm.Micro;

/// <summary>Counts the bytes that hot paths allocate, without timing them: fast and the same on a busy machine.</summary>
internal static class AllocationCheck
{
    private const int WarmUp = 1_000;
    private const int Operations = 100_000;

    /// <summary>Prints one line an operation.</summary>
    /// <returns>True when none allocates.</returns>
    public static bool Run(TextWriter output)
    {
        bool clean = true;
        foreach ((string name, Action operation) in HotPaths())
        {
            double bytes = BytesPerOperation(operation);
            output.WriteLine($"{name,-52} {bytes,8:F3} B/operation");
            clean &= bytes == 0;
        }

        return clean;
    }

    /// <summary>Bytes that the operation allocates on this thread, when it has run often enough for its first calls not to count.</summary>
    public static double BytesPerOperation(Action operation)
    {
        Repeat(operation, WarmUp);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Repeat(operation, Operations);
        return (GC.GetAllocatedBytesForCurrentThread() - before) / (double)Operations;
    }

    private static IEnumerable<(string Name, Action Operation)> HotPaths()
    {
        var bus = new BusDispatch();
        bus.SetUp();
        yield return ("bus read", () => bus.Read());
        yield return ("bus write", () => bus.Write());
        yield return ("bus read of nothing", () => bus.ReadNothing());

        using var memory = new MemoryAccess();
        yield return ("guest memory span", () => memory.LowSpan());
        yield return ("guest memory span above 4 GiB", () => memory.HighSpan());
        yield return ("guest memory span refused", () => memory.Refused());
        yield return ("guest memory mark dirty, untracked", memory.MarkDirtyUntracked);
        yield return ("guest memory mark dirty, tracked", memory.MarkDirtyTracked);

        foreach (bool indirect in new[] { false, true })
        {
            foreach (bool eventIndex in new[] { false, true })
            {
                using var queue = new QueueTraffic { Indirect = indirect, EventIndex = eventIndex };
                queue.SetUp();
                string kind = (indirect ? ", indirect" : "") + (eventIndex ? ", event index" : "");
                yield return ("queue pop, complete, publish" + kind, () => queue.PopCompletePublish());
                yield return ("queue pop when empty" + kind, () => queue.PopEmpty());
            }
        }
    }

    private static void Repeat(Action operation, int times)
    {
        for (int i = 0; i < times; i++)
        {
            operation();
        }
    }
}
