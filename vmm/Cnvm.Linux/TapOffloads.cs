namespace Cnvm.Linux;

/// <summary>What a reader of a TAP device can take (TUN_F_*, linux/if_tun.h).</summary>
[Flags]
public enum TapOffloads : uint
{
    None = 0,

    /// <summary>Packets without a finished checksum.</summary>
    Checksum = 0x01,
    Tso4 = 0x02,
    Tso6 = 0x04,
    TsoEcn = 0x08,
    Ufo = 0x10,
}
