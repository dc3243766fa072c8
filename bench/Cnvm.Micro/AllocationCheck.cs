using Cnvm.Virtio.Block;

namespace Cnvm.Micro;

/// <summary>Counts the bytes that hot paths allocate, without timing them: fast and the same on a busy machine.</summary>
internal static class AllocationCheck
{
    private const int WarmUp = 1_000;
    private const int Operations = 100_000;

    // Devices have threads of their own, so each operation takes some switches between them, and on a busy machine its time.
    private const int DeviceOperations = 200;
    private const int DeviceRounds = 100;

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

        foreach ((string name, Action? operation) in DevicePaths())
        {
            if (operation is null)
            {
                output.WriteLine($"{name,-52}  skipped: qemu-img is not installed");
                continue;
            }

            double bytes = BytesOnOtherThreads(operation);
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

    /// <summary>
    /// Bytes that the operation allocates on other threads than this one, which has the driver's part, in the best of some rounds: in the first
    /// ones the compiler is still at work in the background, and now and then a runner of tests.
    /// </summary>
    public static double BytesOnOtherThreads(Action operation, int rounds = DeviceRounds)
    {
        double least = double.MaxValue;
        for (int round = 0; round < rounds && least > 0; round++)
        {
            long own = GC.GetAllocatedBytesForCurrentThread();
            long all = GC.GetTotalAllocatedBytes(precise: true);
            Repeat(operation, DeviceOperations);
            all = GC.GetTotalAllocatedBytes(precise: true) - all;
            own = GC.GetAllocatedBytesForCurrentThread() - own;
            least = Math.Min(least, (all - own) / (double)DeviceOperations);
        }

        return least;
    }

    private static IEnumerable<(string Name, Action? Operation)> DevicePaths()
    {
        foreach (ImageFormat format in new[] { ImageFormat.Raw, ImageFormat.Qcow2 })
        {
            using var block = new BlockTraffic { Format = format };
            block.SetUp();
            yield return ($"blk read, {format}", block.IsAvailable ? block.Read : null);
            yield return ($"blk write, {format}", block.IsAvailable ? block.Write : null);
        }

        using (var frames = new FrameTraffic())
        {
            frames.SetUp();
            yield return ("net frame from the guest", frames.Send);
            yield return ("net frame to the guest", frames.Receive);
        }

        using (var folder = new FolderTraffic())
        {
            folder.SetUp();
            yield return ("fs lookup", folder.LookUp);
            yield return ("fs attributes", folder.GetAttributes);
            yield return ("fs new times", folder.SetTimes);
            yield return ("fs read", folder.Read);
            yield return ("fs write", folder.Write);
            yield return ("fs directory with attributes", folder.ReadDirectory);
            yield return ("fs flush", folder.Flush);
            yield return ("fs room", folder.GetFileSystem);
        }

        using (var vsock = new VsockTraffic())
        {
            vsock.SetUp();
            yield return ("vsock packets to the host", vsock.GuestToHost);
            yield return ("vsock packets to the guest", vsock.HostToGuest);
        }
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
