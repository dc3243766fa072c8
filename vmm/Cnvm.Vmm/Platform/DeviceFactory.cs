using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Virtio;
using Cnvm.Virtio.Balloon;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.RateLimits;
using Cnvm.Virtio.Rng;
using Cnvm.Virtio.VhostUser;
using Cnvm.Virtio.Vsock;
using Cnvm.Vmm.Config;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Vmm.Platform;

/// <summary>Makes virtio devices from their configuration. Failures name the device and the field.</summary>
internal static partial class DeviceFactory
{
    /// <summary>The limit that a configuration describes; null for none.</summary>
    public static RateLimiter? CreateLimiter(RateLimiterConfig? config) =>
        config is { Bandwidth: null, Ops: null } or null ? null : new RateLimiter(Bucket(config.Bandwidth), Bucket(config.Ops));

    /// <param name="limiter">What it may take; null for all there is.</param>
    /// <param name="outlivesProcess"><inheritdoc cref="BlockOptions.OutlivesProcess" path="/summary"/></param>
    /// <exception cref="MachineBuildException">The image cannot be used.</exception>
    public static BlockDevice CreateDisk(DiskConfig disk, RateLimiter? limiter, ILogger logger, bool outlivesProcess = false)
    {
        string id = disk.Id!;
        try
        {
            IBlockImage image = DiskImage.Open(ImageOptions(disk), logger, out bool wasDetected);
            return new BlockDevice(
                new BlockOptions
                {
                    Id = id, QueueCount = disk.NumQueues, QueueSize = disk.QueueSize, Serial = disk.Serial, RateLimiter = limiter,
                    IsFirstSectorKept = wasDetected,
                    OutlivesProcess = outlivesProcess,
                    QueueAffinity = (disk.QueueAffinity ?? []).ToDictionary(a => (int)a.QueueIndex, a => Array.ConvertAll(a.HostCpus.ToArray(), c => (int)c)),
                },
                image,
                logger);
        }
        catch (Exception e) when (e is BlockImageException or LinuxException or IOException)
        {
            throw new MachineBuildException($"{id}: {e.Message}", e);
        }
    }

    /// <summary>Why a disk cannot be had as its guest knows it; null if nothing is seen that is in the way. Nothing is locked or written.</summary>
    /// <param name="sectors">What the guest was told of its size.</param>
    public static string? DiskObstacle(DiskConfig disk, ulong sectors) => DiskImage.Obstacle(ImageOptions(disk), sectors, NullLogger.Instance);

    /// <param name="memory">Guest RAM that the back end maps.</param>
    /// <exception cref="MachineBuildException">The back end cannot be used.</exception>
    public static VhostUserBlockDevice CreateVhostUserDisk(DiskConfig disk, GuestMemory memory, ILogger logger) => WithBackend(
        new VhostUserOptions { Id = disk.Id!, Socket = disk.VhostSocket!, QueueCount = disk.NumQueues, QueueSize = disk.QueueSize },
        options => new VhostUserBlockDevice(options, memory, logger));

    /// <inheritdoc cref="CreateVhostUserDisk"/>
    public static VhostUserFsDevice CreateVhostUserFs(FsConfig fs, GuestMemory memory, ILogger logger) => WithBackend(
        new VhostUserOptions { Id = fs.Id!, Socket = fs.Socket!, QueueCount = fs.NumQueues + 1, QueueSize = fs.QueueSize },
        options => new VhostUserFsDevice(options, fs.Tag, memory, logger));

    /// <exception cref="MachineBuildException">The interface cannot be made or used.</exception>
    public static NetDevice CreateNet(NetConfig net, ILogger logger)
    {
        string id = net.Id!;
        try
        {
            INetBackend backend = CreateNetBackend(id, net, logger);
            var device = new NetDevice(OptionsOf(net), backend, logger);
            if (backend is TapBackend { IsGuestsOwn: true } tap && !tap.HostMac.Equals(device.Mac))
            {
                LogOtherAddress(logger, id, tap.Name, MacText(tap.HostMac), MacText(device.Mac));
            }

            return device;
        }
        catch (Exception e) when (e is NetBackendException or LinuxException or IOException)
        {
            throw new MachineBuildException($"{id}: {e.Message}", e);
        }
    }

    /// <summary>The address of an interface that is the guest's own, a macvtap's; null for any other.</summary>
    public static PhysicalAddress? MacOf(NetConfig net) => net switch
    {
        { VhostUser: true } or { IsStream: true } or { Fds: not null } or { Tap: null } => null,
        _ => TapBackend.AddressOf(net.Tap) is { } own ? net.HostMac is { } given ? PhysicalAddress.Parse(given) : own : null,
    };

    private static INetBackend CreateNetBackend(string id, NetConfig net, ILogger logger) => net switch
    {
        { Passt: { } passt } => StreamBackend.Start(
            id, new PasstOptions { TcpPorts = passt.TcpPorts ?? [], UdpPorts = passt.UdpPorts ?? [], Address = passt.Address, Gateway = passt.Gateway }, logger),
        { Socket: { } socket } => StreamBackend.Connect(id, socket, logger),
        _ => TapBackend.Open(new TapOptions
        {
            Name = net.Tap,
            Queues = net.NumQueues / 2,
            // The configuration's descriptors outlive this machine, so that a reboot finds them open.
            Descriptors = net.Fds is { } fds ? Array.ConvertAll(fds.ToArray(), FileDescriptor.Duplicate) : null,
            Address = net.Ip is { } ip ? IPAddress.Parse(ip) : null,
            Mask = net.Mask is { } mask ? IPAddress.Parse(mask) : null,
            HostMac = net.HostMac is { } hostMac ? PhysicalAddress.Parse(hostMac) : null,
            Mtu = net.Mtu,
        }),
    };

    /// <summary>
    /// Why an interface cannot be had by its name, or its socket by its path; null if it can, or if only somebody else has it by now. Nothing is said
    /// to a program at a socket, which may end with its first connection.
    /// </summary>
    public static string? NetObstacle(NetConfig net) => net switch
    {
        { Passt: not null } => StreamBackend.StartObstacle(),
        { Socket: { } socket } =>
            UnixStream.Obstacle(socket) is { } problem ? $"{problem}: start the program that serves it first, for example passt -s {socket}" : null,
        _ => TapBackend.Obstacle(new TapOptions { Name = net.Tap, Queues = net.NumQueues / 2 }),
    };

    /// <inheritdoc cref="CreateVhostUserDisk"/>
    public static VhostUserNetDevice CreateVhostUserNet(NetConfig net, GuestMemory memory, ILogger logger) => WithBackend(
        new VhostUserOptions
        {
            Id = net.Id!, Socket = net.VhostSocket!, QueueCount = net.NumQueues, QueueSize = net.QueueSize, IsServer = net.VhostMode == VhostMode.Server,
        },
        options => new VhostUserNetDevice(options, OptionsOf(net), memory, logger));

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
    /// <param name="restorable">How many a saved state may hold: the folder had another share where it was saved.</param>
    /// <exception cref="MachineBuildException">The folder cannot be shared.</exception>
    public static FsDevice CreateFs(FsConfig fs, int descriptors, int restorable, ILogger logger)
    {
        string id = fs.Id!;
        if (OwnersObstacle(fs) is { } obstacle)
        {
            throw new MachineBuildException($"{id}: {obstacle}");
        }

        try
        {
            return new FsDevice(
                new FsOptions
                {
                    Id = id, Tag = fs.Tag, Path = fs.Path!, IsReadOnly = fs.Readonly, RequestQueues = fs.NumQueues, QueueSize = fs.QueueSize,
                    MaxDescriptors = descriptors,
                    MaxRestored = restorable,
                    SharesLocks = fs.Locks,
                    Users = Ranges(fs.UidMap),
                    Groups = Ranges(fs.GidMap),
                    Cache = fs.Cache switch { FsCache.Always => FsCacheMode.Always, FsCache.None => FsCacheMode.None, _ => FsCacheMode.Auto },
                },
                logger);
        }
        catch (Exception e) when (e is LinuxException or IOException)
        {
            throw new MachineBuildException($"{id}: {e.Message}", e);
        }
    }

    /// <summary>Why this process cannot give files the owners that a folder's maps say; null if it can.</summary>
    public static string? OwnersObstacle(FsConfig fs) => (fs.UidMap ?? fs.GidMap) is not null && !FileCaller.CanChange
        ? "uid_map and gid_map need root, as nobody else makes files for other users"
        : null;

    /// <summary>As in configurations.</summary>
    public static string MacText(PhysicalAddress address) =>
        string.Join(':', address.GetAddressBytes().Select(b => b.ToString("x2", CultureInfo.InvariantCulture)));

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "{Device}: {Interface} gets frames for {Own}, and the guest's address is {Guest}: leave mac= out or give the interface that address, unless it passes everything through")]
    private static partial void LogOtherAddress(ILogger logger, string device, string @interface, string own, string guest);

    private static IdRange[] Ranges(IReadOnlyList<IdRangeConfig>? map)
    {
        var ranges = new IdRange[map?.Count ?? 0];
        for (int i = 0; i < ranges.Length; i++)
        {
            ranges[i] = new IdRange(map![i].Guest, map[i].Host, map[i].Count);
        }

        return ranges;
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

    private static NetOptions OptionsOf(NetConfig net) => new()
    {
        Id = net.Id!,
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

    private static T WithBackend<T>(VhostUserOptions options, Func<VhostUserOptions, T> create)
    {
        try
        {
            return create(options);
        }
        catch (Exception e) when (e is VhostUserException or LinuxException or IOException)
        {
            throw new MachineBuildException($"{options.Id}: {e.Message}", e);
        }
    }

    private static DiskImageOptions ImageOptions(DiskConfig disk) => new()
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
    };

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
