using System.Text;

namespace Cnvm.Vmm.Config;

// Shared folders.
public sealed partial class VmConfigValidator
{
    /// <summary>virtio 1.2 §5.11.4: the tag's field.</summary>
    private const int MaxFsTag = 36;

    /// <summary>Room for a request's and an answer's header with a page of data.</summary>
    private const ushort MinFsQueueSize = 16;

    private void CheckFs()
    {
        var tags = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < (_config.Fs?.Count ?? 0); i++)
        {
            FsConfig fs = _config.Fs![i];
            string field = $"fs[{i}]";
            int bytes = Encoding.UTF8.GetByteCount(fs.Tag);
            if (bytes is 0 or > MaxFsTag || fs.Tag.Contains('\0'))
            {
                Add($"{field}.tag", $"has 1 to {MaxFsTag} bytes, not {bytes}");
            }
            else if (!tags.Add(fs.Tag))
            {
                Conflict($"{field}.tag", $"'{fs.Tag}' is used by an earlier shared folder");
            }

            // A device that a daemon serves has no folder of its own: what is missing then is said once.
            if (fs.Socket is not null)
            {
                Refuse(true, $"{field}.socket", "vhost-user is");
            }
            else if (string.IsNullOrEmpty(fs.Path) || fs.Path.Contains('\0'))
            {
                Add($"{field}.path", "is missing: give the folder to share");
            }

            if (fs.NumQueues == 0 || fs.NumQueues > _config.Cpus.BootVcpus)
            {
                Add($"{field}.num_queues", $"{fs.NumQueues}; at least 1 and at most one for each of the {_config.Cpus.BootVcpus} vCPUs");
            }

            CheckQueueSize($"{field}.queue_size", fs.QueueSize);
            if (fs.QueueSize is >= 2 and < MinFsQueueSize)
            {
                Add($"{field}.queue_size", $"{fs.QueueSize} is below {MinFsQueueSize}");
            }
        }
    }
}
