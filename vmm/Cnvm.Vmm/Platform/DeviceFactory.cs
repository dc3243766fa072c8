using Cnvm.Linux;
using Cnvm.Virtio;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Rng;
using Cnvm.Vmm.Config;
using Microsoft.Extensions.Logging;

namespace Cnvm.Vmm.Platform;

/// <summary>Makes virtio devices from their configuration. Failures name the device and the field.</summary>
internal static class DeviceFactory
{
    /// <exception cref="MachineBuildException">The image cannot be used.</exception>
    public static BlockDevice CreateDisk(DiskConfig disk, ILogger logger)
    {
        string id = disk.Id!;
        try
        {
            RawImage image = RawImage.Open(new RawImageOptions
            {
                Path = disk.Path!,
                IsReadOnly = disk.Readonly,
                IsDirect = disk.Direct,
                IsSparse = disk.Sparse,
                LockWholeFile = disk.LockGranularity == LockGranularity.Full,
                DisableIoUring = disk.DisableIoUring,
            });
            return new BlockDevice(
                new BlockOptions { Id = id, QueueCount = disk.NumQueues, QueueSize = disk.QueueSize, Serial = disk.Serial },
                image,
                logger);
        }
        catch (Exception e) when (e is BlockImageException or LinuxException or IOException)
        {
            throw new MachineBuildException($"{id}: {e.Message}", e);
        }
    }

    public static VirtioDevice CreateRng(RngConfig rng, ILogger logger)
    {
        try
        {
            return new RngDevice(rng.Id ?? DeviceNames.Rng, rng.Src, logger);
        }
        catch (Exception e) when (e is LinuxException or IOException)
        {
            throw new MachineBuildException($"rng: {e.Message}", e);
        }
    }
}
