using Cnvm.Linux;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Tests.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Block;

/// <summary>Disks that get another size, and threads that stay on their host CPUs.</summary>
public sealed class ResizeTests : IDisposable
{
    private const int Size = 64 * 1024;
    private readonly TestMemory _memory = new();
    private readonly ScratchDisk _disk = new(Size);

    public void Dispose()
    {
        _memory.Dispose();
        _disk.Dispose();
    }

    [Fact]
    public void The_driver_is_told_and_requests_go_as_far_as_the_disk()
    {
        BlockDevice device = new(new BlockOptions { Id = "_disk0" }, Open(), NullLogger.Instance);
        using PciGuest guest = new(device, _memory);
        BlockDriver driver = new(_memory, guest);
        Assert.Equal(0, driver.Read((Size / 512) - 1, 512));
        Assert.Equal(1, driver.Read(Size / 512, 512));

        Resize(2 * Size);
        Assert.Equal(0, driver.Write((2 * Size / 512) - 1, new byte[512]));
        Resize(Size / 2);
        Assert.Equal(1, driver.Read(Size / 2 / 512, 512));
        Assert.Equal(0, driver.Read((Size / 2 / 512) - 1, 512));

        // Nothing that cannot be changes anything.
        TransportTests.Pause(guest);
        Assert.Throws<BlockImageException>(() => device.Resize(0));
        Assert.Throws<BlockImageException>(() => device.Resize(513));
        Assert.Throws<BlockImageException>(() => device.Resize(ulong.MaxValue & ~511UL));
        Assert.Throws<BlockImageException>(() => device.Resize(1UL << 62));
        Assert.Equal(Size / 2, new FileInfo(_disk.Path).Length);
        Assert.Equal(Size / 2 / 512, BitConverter.ToInt32(guest.ReadConfiguration(0, 4)));

        void Resize(int bytes)
        {
            TransportTests.Pause(guest);
            device.Resize((ulong)bytes);
            TransportTests.Resume(guest);
            guest.Msi.Vectors[0].Await();
            Assert.Equal(bytes / 512, BitConverter.ToInt32(guest.ReadConfiguration(0, 4)));
            Assert.Equal(bytes, new FileInfo(_disk.Path).Length);
        }
    }

    [Fact]
    public void A_disk_that_only_reads_and_one_that_somebody_locked_behind_its_end_stay_as_they_are()
    {
        using (RawImage readOnly = RawImage.Open(new RawImageOptions { Path = _disk.Path, IsReadOnly = true }))
        {
            Assert.Contains("reading only", Assert.Throws<BlockImageException>(() => readOnly.Resize(2 * Size)).Message, StringComparison.Ordinal);
        }

        using RawImage image = Open();

        // Its lock covers what it has; a lock of the whole file is somebody else's from there on.
        using DiskFile other = new(_disk.Path, readOnly: false, direct: false);
        Assert.False(other.TryLock(exclusive: true, 2 * Size));
        image.Resize(2 * Size);
        Assert.False(other.TryLock(exclusive: true, 2 * Size));
        Assert.Throws<BlockImageException>(() => ((IBlockImage)new RecordingImage(512)).Resize(1024));
    }

    [Fact]
    public void The_thread_of_a_queue_runs_on_its_host_cpus()
    {
        int cpu = NativeThread.GetAffinity()[^1];
        BlockOptions options = new() { Id = "_pinned", QueueAffinity = new Dictionary<int, int[]> { [0] = [cpu] } };
        using PciGuest guest = new(new BlockDevice(options, Open(), NullLogger.Instance), _memory);
        Assert.Equal(0, new BlockDriver(_memory, guest).Read(0, 512));
        string task = Directory.GetDirectories("/proc/self/task").First(t => NameOf(t) == "_pinned_q0");
        Assert.Contains($"Cpus_allowed_list:\t{cpu}\n", File.ReadAllText($"{task}/status"), StringComparison.Ordinal);

        static string? NameOf(string task)
        {
            try
            {
                return File.ReadAllText($"{task}/comm").Trim();
            }
            catch (IOException)
            {
                // The thread has ended since the folder was read.
                return null;
            }
        }
    }

    [Fact]
    public void Host_cpus_that_do_not_exist_cost_speed_and_nothing_else()
    {
        BlockOptions options = new() { Id = "_disk0", QueueAffinity = new Dictionary<int, int[]> { [0] = [8191] } };
        using PciGuest guest = new(new BlockDevice(options, Open(), NullLogger.Instance), _memory);
        Assert.Equal(0, new BlockDriver(_memory, guest).Read(0, 512));
    }

    private RawImage Open() => RawImage.Open(new RawImageOptions { Path = _disk.Path, DisableIoUring = true });
}
