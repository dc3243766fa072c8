namespace Cnvm.Vmm.Config;

// Devices that a vhost-user back end serves: what it decides cannot be asked of the VMM.
public sealed partial class VmConfigValidator
{
    /// <summary>Rings have numbers of a byte in the protocol.</summary>
    private const ushort MaxVhostUserNetQueues = 256;

    private void CheckVhostUserDisk(string field, DiskConfig disk)
    {
        if (!disk.VhostUser)
        {
            if (disk.VhostSocket is not null)
            {
                Add($"{field}.vhost_socket", "belongs to a vhost-user disk: set vhost_user, or leave it out");
            }

            return;
        }

        CheckVhostUser(field, "vhost_socket", disk.VhostSocket);
        Foreign(disk.Path is not null, $"{field}.path");
        Foreign(disk.Readonly, $"{field}.readonly");
        Foreign(disk.Direct, $"{field}.direct");
        Foreign(disk.Serial is not null, $"{field}.serial");
        Foreign(disk.BackingFiles, $"{field}.backing_files");
        Foreign(disk.QueueAffinity is { Count: > 0 }, $"{field}.queue_affinity");
        Foreign(disk.RateLimitGroup is not null, $"{field}.rate_limit_group");
        Foreign(disk.RateLimiterConfig is not null, $"{field}.rate_limiter_config");
    }

    private void CheckVhostUserFs(string field, FsConfig fs)
    {
        CheckVhostUser(field, "socket", fs.Socket);
        Foreign(fs.Path is not null, $"{field}.path");
        Foreign(fs.Readonly, $"{field}.readonly");
        Foreign(fs.Cache != FsCache.Auto, $"{field}.cache");
        Foreign(fs.Locks, $"{field}.locks");
        Foreign(fs.UidMap is not null, $"{field}.uid_map");
        Foreign(fs.GidMap is not null, $"{field}.gid_map");
    }

    private void CheckVhostUserNet(string field, NetConfig net)
    {
        if (!net.VhostUser)
        {
            if (net.VhostSocket is not null)
            {
                Add($"{field}.vhost_socket", "belongs to a vhost-user interface: set vhost_user, or leave it out");
            }

            return;
        }

        CheckVhostUser(field, "vhost_socket", net.VhostSocket);
        if (net.NumQueues > MaxVhostUserNetQueues)
        {
            Add($"{field}.num_queues", $"{net.NumQueues}; a vhost-user interface has at most {MaxVhostUserNetQueues}");
        }

        Foreign(net.Tap is not null, $"{field}.tap");
        Foreign(net.HostMac is not null, $"{field}.host_mac");
        Foreign(net.Fds is not null, $"{field}.fds");
        Foreign(net.RateLimiterConfig is not null, $"{field}.rate_limiter_config");
    }

    private void CheckVhostUser(string field, string key, string? socket)
    {
        CheckSocketPath($"{field}.{key}", socket);
        bool isShared = _config.Memory.Zones is { Count: > 0 } zones ? zones.All(z => z.Shared) : _config.Memory.Shared;
        if (!isShared)
        {
            Add("memory.shared", $"{field} is a vhost-user device, whose back end has to map the memory: --memory shared=on (of every zone)");
        }

        if (_config.Memory.Zones?.FirstOrDefault(z => z.File is not null) is { } zone)
        {
            Add("memory.zones", $"{field} is a vhost-user device, whose back end could cut off the file of zone {zone.Id}, and the VMM would end: leave file out");
        }
    }

    /// <summary>Reports a field that means nothing where the back end decides.</summary>
    private void Foreign(bool given, string field)
    {
        if (given)
        {
            Add(field, "is for the vhost-user back end to say; leave it out here");
        }
    }
}
