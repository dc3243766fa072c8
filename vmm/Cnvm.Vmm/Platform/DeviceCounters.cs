using Cnvm.Virtio;
using Cnvm.Virtio.Balloon;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.VhostUser;
using Cnvm.Virtio.Vsock;

namespace Cnvm.Vmm.Platform;

/// <summary>Device counters under Cloud Hypervisor's names.</summary>
internal static class DeviceCounters
{
    public static IReadOnlyDictionary<string, IReadOnlyDictionary<string, ulong>> Read(IEnumerable<VirtioDevice> devices)
    {
        var all = new Dictionary<string, IReadOnlyDictionary<string, ulong>>();
        foreach (VirtioDevice device in devices)
        {
            if (device is BlockDevice block)
            {
                all[device.Id] = WithWaits(Read(block.Counters), block.RateLimiter?.Waits);
            }
            else if (device is NetDevice net)
            {
                all[device.Id] = WithWaits(WithConnection(Read(net.Counters), net.Connection), net.RateLimiterWaits);
            }
            else if (device is VsockDevice vsock)
            {
                all[device.Id] = Read(vsock.Counters);
            }
            else if (device is FsDevice fs)
            {
                all[device.Id] = Read(fs.Counters);
            }
            else if (device is VhostUserDevice vhostUser)
            {
                all[device.Id] = Read(vhostUser.Counters);
            }
            else if (device is BalloonDevice balloon)
            {
                all[device.Id] = Read(balloon);
            }
        }

        return all;
    }

    /// <summary>Devices without limits have the counters that they always had.</summary>
    private static Dictionary<string, ulong> WithWaits(Dictionary<string, ulong> counters, ulong? waits)
    {
        if (waits is { } count)
        {
            counters["rate_limiter_waits"] = count;
        }

        return counters;
    }

    /// <summary>What is always there has nothing to say about it.</summary>
    private static Dictionary<string, ulong> WithConnection(Dictionary<string, ulong> counters, NetConnection? connection)
    {
        if (connection is { } c)
        {
            counters["connected"] = c.IsConnected ? 1UL : 0;
            counters["reconnects"] = c.Reconnects;
        }

        return counters;
    }

    private static Dictionary<string, ulong> Read(NetCounters c) => new()
    {
        ["rx_bytes"] = c.RxBytes,
        ["rx_frames"] = c.RxFrames,
        ["tx_bytes"] = c.TxBytes,
        ["tx_frames"] = c.TxFrames,
    };

    private static Dictionary<string, ulong> Read(VsockCounters c) => new()
    {
        ["rx_bytes"] = c.RxBytes,
        ["rx_packets"] = c.RxPackets,
        ["tx_bytes"] = c.TxBytes,
        ["tx_packets"] = c.TxPackets,
        ["connections_opened"] = c.ConnectionsOpened,
        ["connections_refused"] = c.ConnectionsRefused,
        ["connections_reset"] = c.ConnectionsReset,
    };

    private static Dictionary<string, ulong> Read(FsCounters c) => new()
    {
        ["requests"] = c.Requests,
        ["errors"] = c.Errors,
        ["read_ops"] = c.ReadOps,
        ["read_bytes"] = c.ReadBytes,
        ["write_ops"] = c.WriteOps,
        ["write_bytes"] = c.WriteBytes,
        ["nodes"] = c.Nodes,
        ["open_files"] = c.Handles,
    };

    private static Dictionary<string, ulong> Read(VhostUserCounters c) => new()
    {
        ["connected"] = c.IsConnected ? 1UL : 0,
        ["reconnects"] = c.Reconnects,
        ["calls"] = c.Calls,
    };

    private static Dictionary<string, ulong> Read(BalloonDevice balloon)
    {
        BalloonCounters c = balloon.Counters;
        var all = new Dictionary<string, ulong>
        {
            ["balloon_target_bytes"] = c.TargetBytes,
            ["balloon_actual_bytes"] = c.ActualBytes,
            ["inflated_bytes"] = c.InflatedBytes,
            ["reported_bytes"] = c.ReportedBytes,
        };
        foreach ((string name, ulong value) in balloon.Statistics)
        {
            all[$"guest_{name}"] = value;
        }

        return all;
    }

    private static Dictionary<string, ulong> Read(BlockCounters c) => new()
    {
        ["read_bytes"] = c.ReadBytes,
        ["read_ops"] = c.ReadOps,
        ["write_bytes"] = c.WriteBytes,
        ["write_ops"] = c.WriteOps,
        ["read_latency_min"] = c.ReadLatencyMin,
        ["read_latency_max"] = c.ReadLatencyMax,
        ["read_latency_avg"] = c.ReadLatencyAverage,
        ["write_latency_min"] = c.WriteLatencyMin,
        ["write_latency_max"] = c.WriteLatencyMax,
        ["write_latency_avg"] = c.WriteLatencyAverage,
    };
}
