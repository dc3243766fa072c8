namespace Cnvm.Virtio.Block.Vhd;

/// <summary>The VHD format (Microsoft, Virtual Hard Disk Image Format Specification 1.0). All numbers on the disk are big-endian.</summary>
internal static class VhdSpec
{
    // The footer: the file's last sector; a dynamic image's first sector has a copy.
    public const int FooterBytes = 512;
    public const int FooterVersion = 12;
    public const int FooterDataOffset = 16;
    public const int FooterCreator = 28;
    public const int FooterCurrentSize = 48;
    public const int FooterGeometry = 56;
    public const int FooterType = 60;
    public const int FooterChecksum = 64;

    // A dynamic image's header.
    public const int HeaderBytes = 1024;
    public const int HeaderTableOffset = 16;
    public const int HeaderVersion = 24;
    public const int HeaderTableEntries = 28;
    public const int HeaderBlockSize = 32;
    public const int HeaderChecksum = 36;

    /// <summary>The entry of a block that is nowhere.</summary>
    public const uint NoBlock = uint.MaxValue;

    /// <summary>Smallest and largest blocks, in bytes; bounds of cnvm's own. 2 MiB and 512 KiB are usual.</summary>
    public const uint MinBlock = 512 * 1024;
    public const uint MaxBlock = 256 * 1024 * 1024;

    public const uint Version = 0x0001_0000;

    // Types of disks.
    public const uint Fixed = 2;
    public const uint Dynamic = 3;
    public const uint Differencing = 4;

    /// <summary>Largest disk, in bytes: what Hyper-V and QEMU take.</summary>
    public const ulong MaxSize = 2040UL << 30;

    public static ReadOnlySpan<byte> Cookie => "conectix"u8;

    public static ReadOnlySpan<byte> HeaderCookie => "cxsparse"u8;

    /// <summary>
    /// A creator whose images have the size that they say. Of others, QEMU takes what cylinders, heads and sectors come to, as Virtual PC did.
    /// </summary>
    public static ReadOnlySpan<byte> CreatorOfExactSizes => "win "u8;
}
