using System.Net;
using System.Net.NetworkInformation;
using Cnvm.Linux;
using Cnvm.Virtio;
using Cnvm.Virtio.Balloon;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.RateLimits;
using Cnvm.Virtio.Rng;
using Cnvm.Virtio.Vsock;
using Cnvm.Vmm.Config;
using Microsoft.Extensions.Logging;

namespace Cnvm.Vmm.Platform;

/// <summary>Makes virtio devices from their configuration. Failures name the device and the field.</summary>
internal static class DeviceFactory
{
    /// <summary>The limit that a configuration describes; null for none.</summary>
    public static RateLimiter? CreateLimiter(RateLimiterConfig? config) =>
        config is { Bandwidth: null, Ops: null } or null ? null : new RateLimiter(Bucket(config.Bandwidth), Bucket(config.Ops));

    /// <param name="limiter">What it may take; null for all there is.</param>
    /// <exception cref="MachineBuildException">The image cannot be used.</exception>
    public static BlockDevice CreateDisk(DiskConfig disk, RateLimiter? limiter, ILogger logger)
    {
        string id = disk.Id!;
        try
        {
            IBlockImage image = DiskImage.Open(
                new DiskImageOptions
                {
                    File = new RawImageOptions
                    {
                        Path = disk.Path!,
                        IsReadOnly = disk.Readonly,
                        IsDirect = disk.Direct,
                        IsSparse = disk.Sparse,
                        LockWholeFile = disk.LockGranularity == LockGranularity.Full,
                        DisableIoUring = disk.DisableIoUring,
                    },
                    Format = Format(disk.ImageType),
                    AllowBackingFiles = disk.BackingFiles,
                },
                logger,
                out bool wasDetected);
            return new BlockDevice(
                new BlockOptions
                {
                    Id = id, QueueCount = disk.NumQueues, QueueSize = disk.QueueSize, Serial = disk.Serial, RateLimiter = limiter,
                    IsFirstSectorKept = wasDetected,
                    QueueAffinity = (disk.QueueAffinity ?? []).ToDictionary(a => (int)a.QueueIndex, a => a.HostCpus.Select(c => (int)c).ToArray()),
                },
                image,
                logger);
        }
        catch (Exception e) when (e is BlockImageException or LinuxException or IOException)
        {
            throw new MachineBuildException($"{id}: {e.Message}", e);
        }
    }

    /// <exception cref="MachineBuildException">The interface cannot be made or used.</exception>
    public static NetDevice CreateNet(NetConfig net, ILogger logger)
    {
        string id = net.Id!;
        try
        {
            TapBackend tap = TapBackend.Open(new TapOptions
            {
                Name = net.Tap,
                Queues = net.NumQueues / 2,
                // The configuration's descriptors outlive this machine, so that a reboot finds them open.
                Descriptors = net.Fds is { } fds ? [.. fds.Select(FileDescriptor.Duplicate)] : null,
                Address = net.Ip is { } ip ? IPAddress.Parse(ip) : null,
                Mask = net.Mask is { } mask ? IPAddress.Parse(mask) : null,
                HostMac = net.HostMac is { } hostMac ? PhysicalAddress.Parse(hostMac) : null,
                Mtu = net.Mtu,
            });
            var options = new NetOptions
            {
                Id = id,
                QueueSize = net.QueueSize,
                Mac = net.Mac is { } mac ? PhysicalAddress.Parse(mac) : null,
                Mtu = net.Mtu,
                OffloadTso = net.OffloadTso,
                OffloadUfo = net.OffloadUfo,
                OffloadChecksum = net.OffloadCsum,

                // Each direction has the whole limit, as with Cloud Hypervisor.
                ReceiveLimiter = CreateLimiter(net.RateLimiterConfig),
                TransmitLimiter = CreateLimiter(net.RateLimiterConfig),
            };
            return new NetDevice(options, tap, logger);
        }
        catch (Exception e) when (e is NetBackendException or LinuxException or IOException)
        {
            throw new MachineBuildException($"{id}: {e.Message}", e);
        }
    }

    /// <exception cref="MachineBuildException">The socket cannot be made.</exception>
    public static VsockDevice CreateVsock(VsockConfig vsock, ILogger logger)
    {
        string id = vsock.Id!;
        try
        {
            return new VsockDevice(new VsockOptions { Id = id, Cid = vsock.Cid, SocketPath = vsock.Socket }, logger);
        }
        catch (Exception e) when (e is LinuxException or IOException)
        {
            throw new MachineBuildException($"{id}: {e.Message}", e);
        }
    }

    /// <param name="descriptors">Host descriptors that the guest may bind through it.</param>
    /// <exception cref="MachineBuildException">The folder cannot be shared.</exception>
    public static FsDevice CreateFs(FsConfig fs, int descriptors, ILogger logger)
    {
        string id = fs.Id!;
        try
        {
            return new FsDevice(
                new FsOptions
                {
                    Id = id, Tag = fs.Tag, Path = fs.Path!, IsReadOnly = fs.Readonly, RequestQueues = fs.NumQueues, QueueSize = fs.QueueSize,
                    MaxDescriptors = descriptors,
                    Cache = fs.Cache switch { FsCache.Always => FsCacheMode.Always, FsCache.None => FsCacheMode.None, _ => FsCacheMode.Auto },
                },
                logger);
        }
        catch (Exception e) when (e is LinuxException or IOException)
        {
            throw new MachineBuildException($"{id}: {e.Message}", e);
        }
    }

    /// <summary>What each of so many shared folders may bind, so that the rest of the VMM always finds a descriptor.</summary>
    public static int DescriptorsForEach(int folders)
    {
        const ulong Reserve = 4096;
        const ulong Most = 512 * 1024;
        ulong limit = OpenFileLimit.RaiseTo(Most + Reserve);
        ulong all = Math.Min(limit - Math.Min(limit / 8, Reserve), Most);
        return (int)(all / (ulong)Math.Max(folders, 1));
    }

    public static BalloonDevice CreateBalloon(BalloonConfig balloon, ILogger logger) => new(
        new BalloonOptions
        {
            Id = balloon.Id ?? DeviceNames.Balloon,
            Size = balloon.Size,
            DeflateOnOom = balloon.DeflateOnOom,
            FreePageReporting = balloon.FreePageReporting,
            Statistics = balloon.Statistics,
        },
        logger);

    private static ImageFormat Format(ImageType type) => type switch
    {
        ImageType.Raw => ImageFormat.Raw,
        ImageType.Qcow2 => ImageFormat.Qcow2,
        ImageType.FixedVhd => ImageFormat.FixedVhd,
        ImageType.Vhdx => ImageFormat.Vhdx,
        ImageType.FlatVmdk => ImageFormat.FlatVmdk,
        _ => ImageFormat.Unknown,
    };

    private static TokenBucketOptions? Bucket(TokenBucketConfig? bucket) =>
        bucket is null ? null : new TokenBucketOptions(bucket.Size, bucket.OneTimeBurst ?? 0, bucket.RefillTime);

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
