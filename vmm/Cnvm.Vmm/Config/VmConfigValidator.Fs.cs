using System.Text;

namespace Cnvm.Vmm.Config;

// Shared folders.
public sealed partial class VmConfigValidator
{
    /// <summary>virtio 1.2 §5.11.4: the tag's field.</summary>
    private const int MaxFsTag = 36;

    /// <summary>Room for a request's and an answer's header with a page of data.</summary>
    private const ushort MinFsQueueSize = 16;

    /// <summary>As many as a user namespace may have (user_namespaces(7)).</summary>
    private const int MaxIdRanges = 340;

    private void CheckFs()
    {
        var tags = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < (_config.Fs?.Count ?? 0); i++)
        {
            FsConfig fs = _config.Fs![i];
            string field = $"fs[{i}]";
            CheckFs(field, fs);
            if (fs.Tag.Length > 0 && !tags.Add(fs.Tag))
            {
                Conflict($"{field}.tag", $"'{fs.Tag}' is used by an earlier shared folder");
            }
        }
    }

    private void CheckFs(string field, FsConfig fs)
    {
        int bytes = Encoding.UTF8.GetByteCount(fs.Tag);
        if (bytes is 0 or > MaxFsTag || fs.Tag.Contains('\0'))
        {
            Add($"{field}.tag", $"has 1 to {MaxFsTag} bytes, not {bytes}");
        }

        // A device that a daemon serves has no folder of its own: what is missing then is said once.
        if (fs.Socket is not null)
        {
            CheckVhostUserFs(field, fs);
        }
        else if (string.IsNullOrEmpty(fs.Path) || fs.Path.Contains('\0'))
        {
            Add($"{field}.path", "is missing: give the folder to share");
        }

        CheckIds($"{field}.uid_map", fs.UidMap);
        CheckIds($"{field}.gid_map", fs.GidMap);
        if (fs.NumQueues == 0 || fs.NumQueues > QueueVcpus)
        {
            Add($"{field}.num_queues", $"{fs.NumQueues}; at least 1 and at most one for each of the {QueueVcpus} vCPUs");
        }

        CheckQueueSize($"{field}.queue_size", fs.QueueSize);
        if (fs.QueueSize is >= 2 and < MinFsQueueSize)
        {
            Add($"{field}.queue_size", $"{fs.QueueSize} is below {MinFsQueueSize}");
        }
    }

    private void CheckIds(string field, IReadOnlyList<IdRangeConfig>? map)
    {
        if (map?.Count is 0 or > MaxIdRanges)
        {
            Add(field, $"{map.Count} ranges; 1 to {MaxIdRanges} are possible");
            return;
        }

        for (int i = 0; i < (map?.Count ?? 0); i++)
        {
            IdRangeConfig range = map![i];

            // The largest number means that an owner is not to change (chown(2)).
            if (range.Count == 0 || uint.MaxValue - range.Count < range.Guest || uint.MaxValue - range.Count < range.Host)
            {
                Add($"{field}[{i}]", $"{range.Count} from {range.Guest} and {range.Host}; at least one, and none above {uint.MaxValue - 1}");
            }
            else if (map.Take(i).Any(r => Overlap(r.Guest, r.Count, range.Guest, range.Count) || Overlap(r.Host, r.Count, range.Host, range.Count)))
            {
                Add($"{field}[{i}]", "overlaps an earlier range: each number has one on the other side");
            }
        }
    }

    private static bool Overlap(uint a, uint aCount, uint b, uint bCount) => a - b < bCount || b - a < aCount;
}
