using System.Text;

namespace Cnvm.Vmm.Config;

// Devices of which a machine has one at most.
public sealed partial class VmConfigValidator
{
    /// <summary>Context ids below are the hypervisor's, the machine's own and the host's (virtio 1.2 §5.10.4).</summary>
    private const uint MinCid = 3;

    /// <summary>Bytes of a Unix socket's path without the null byte (unix(7)).</summary>
    private const int MaxSocketPath = 107;

    /// <summary>virtio 1.2 §5.5.6: the balloon counts in pages of 4 KiB.</summary>
    private const ulong BalloonPage = 4096;

    private void CheckBalloon()
    {
        if (_config.Balloon is not { } balloon)
        {
            return;
        }

        if (balloon.Size % BalloonPage != 0)
        {
            Add("balloon.size", $"{balloon.Size} is not a multiple of {BalloonPage}");
        }
        else if (balloon.Size > _config.BootMemoryBytes)
        {
            Add("balloon.size", $"{balloon.Size} is more than the VM's RAM ({_config.BootMemoryBytes})");
        }
    }

    private void CheckVsock()
    {
        if (_config.Vsock is not { } vsock)
        {
            return;
        }

        if (vsock.Cid is < MinCid or uint.MaxValue)
        {
            Add("vsock.cid", $"{vsock.Cid} is not between {MinCid} and {uint.MaxValue - 1}");
        }

        CheckSocketPath("vsock.socket", vsock.Socket);
    }

    private void CheckSocketPath(string field, string? path)
    {
        int bytes = Encoding.UTF8.GetByteCount(path ?? "");
        if (bytes is 0 or > MaxSocketPath || path!.Contains('\0'))
        {
            Add(field, $"a Unix socket's path has 1 to {MaxSocketPath} bytes, not {bytes}");
        }
    }
}
