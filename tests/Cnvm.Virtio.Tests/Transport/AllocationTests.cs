using Cnvm.Virtio.Block;
using Cnvm.Virtio.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Transport;

/// <summary>Steady state allocates nothing, on whatever thread. Runs alone, as it looks at the whole process.</summary>
[Collection(nameof(AllocationTests))]
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
public sealed class AllocationTests
{
    private const int Requests = 4000;
    private const int Rounds = 10;

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_disk_request_allocates_nothing(bool uring)
    {
        Skip.If(uring && !Cnvm.Linux.IoUring.IsAvailable(), "the kernel gives no io_uring");
        using TestMemory memory = new();
        using ScratchDisk disk = new(1024 * 1024);
        RawImage image = RawImage.Open(new RawImageOptions { Path = disk.Path, DisableIoUring = !uring });
        using PciGuest guest = new(new BlockDevice(new BlockOptions { Id = "_disk0" }, image, NullLogger.Instance), memory);
        BlockDriver driver = new(memory, guest);

        // Steady state begins when the tiered JIT is done with the path, which a busy test run delays.
        long others = long.MaxValue;
        for (int round = 0; round < Rounds && others >= Requests; round++)
        {
            others = Measure(driver);
        }

        Assert.True(others < Requests, $"{others} bytes for {Requests} requests");
    }

    private static long Measure(BlockDriver driver)
    {
        // What this thread allocates is the driver model's; the rest is the device's, on the I/O threads.
        long own = GC.GetAllocatedBytesForCurrentThread();
        long all = GC.GetTotalAllocatedBytes(precise: true);
        for (int i = 0; i < Requests; i++)
        {
            Assert.Equal(0, driver.Read((ulong)(i % 1000), 512));
        }

        return GC.GetTotalAllocatedBytes(precise: true) - all - (GC.GetAllocatedBytesForCurrentThread() - own);
    }
}
