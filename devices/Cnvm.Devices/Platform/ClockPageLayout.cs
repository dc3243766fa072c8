namespace Cnvm.Devices.Platform;

/// <summary>
/// struct vmclock_abi, version 1 (linux/vmclock-abi.h; where UAPI.13 has other numbers for flags and for the last field, Linux and QEMU
/// agree on these). Little-endian.
/// </summary>
public static class ClockPageLayout
{
    public const int Magic = 0x00;
    public const int Size = 0x04;
    public const int Version = 0x08;
    public const int CounterId = 0x0a;
    public const int TimeType = 0x0b;
    public const int Sequence = 0x0c;
    public const int DisruptionMarker = 0x10;
    public const int Flags = 0x18;
    public const int ClockStatus = 0x22;
    public const int GenerationCounter = 0x68;

    /// <summary>Bytes of the structure; the page behind it is zero.</summary>
    public const int Bytes = 0x70;

    /// <summary>"VCLK".</summary>
    public const uint MagicValue = 0x4b4c_4356;

    public const ushort VersionValue = 1;

    /// <summary>No counter is told of.</summary>
    public const byte CounterInvalid = 0xff;

    /// <summary>The time fields say nothing.</summary>
    public const byte StatusUnknown = 0;

    public const ulong HasGenerationCounter = 1 << 8;

    public const ulong HasNotification = 1 << 9;
}
