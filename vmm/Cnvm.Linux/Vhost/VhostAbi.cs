using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Vhost;

/// <summary>Numbers that vhost-user shares with the kernel's vhost (linux/vhost_types.h).</summary>
[Abi("linux/vhost_types.h")]
public static class VhostAbi
{
    /// <summary>Bit of the flags of a ring's addresses: writes to the used ring are logged.</summary>
    public const int VHOST_VRING_F_LOG = 0;

    /// <summary>Feature bit: writes to guest memory are logged.</summary>
    public const int VHOST_F_LOG_ALL = 26;

    public const int VHOST_PAGE_SIZE = 0x1000;
}
