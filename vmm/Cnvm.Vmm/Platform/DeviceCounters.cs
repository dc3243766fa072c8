using Cnvm.Virtio;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Net;
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
                all[device.Id] = Read(block.Counters);
            }
            else if (device is NetDevice net)
            {
                all[device.Id] = Read(net.Counters);
            }
            else if (device is VsockDevice vsock)
            {
                all[device.Id] = Read(vsock.Counters);
            }
        }

        return all;
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
