namespace Cnvm.Arch.Boot;

/// <summary>
/// Offsets in struct boot_params (arch/x86/include/uapi/asm/bootparam.h); those of its setup header are also offsets in a bzImage.
/// </summary>
internal static class BootParams
{
    public const int Size = 4096;

    public const int AcpiRsdpAddress = 0x070;
    public const int E820Entries = 0x1E8;
    public const int SetupSects = 0x1F1;
    public const int SysSize = 0x1F4;
    public const int VideoMode = 0x1FA;
    public const int BootFlag = 0x1FE;
    public const int JumpEnd = 0x202;
    public const int HeaderMagic = 0x202;
    public const int Version = 0x206;
    public const int TypeOfLoader = 0x210;
    public const int LoadFlags = 0x211;
    public const int Code32Start = 0x214;
    public const int RamdiskImage = 0x218;
    public const int RamdiskSize = 0x21C;
    public const int CommandLinePointer = 0x228;
    public const int InitrdAddressMax = 0x22C;
    public const int KernelAlignment = 0x230;
    public const int RelocatableKernel = 0x234;
    public const int ExtendedLoadFlags = 0x236;
    public const int CommandLineSize = 0x238;
    public const int PayloadOffset = 0x248;
    public const int PayloadLength = 0x24C;
    public const int SetupData = 0x250;
    public const int PreferredAddress = 0x258;
    public const int InitSize = 0x260;
    public const int SetupHeaderLimit = 0x290;
    public const int E820Table = 0x2D0;

    public const int E820EntrySize = 20;
    public const int MaxE820Entries = 128;

    public const ushort BootFlagValue = 0xAA55;
    public const uint HeaderMagicValue = 0x5372_6448; // "HdrS"
    public const ushort OldestVersion = 0x206;
    public const ushort VideoModeNormal = 0xFFFF;
    public const byte LoaderUndefined = 0xFF;
    public const byte LoadFlagLoadedHigh = 1;
    public const ushort ExtendedFlagKernel64 = 1;

    /// <summary>Where a bzImage is loaded that says nothing else.</summary>
    public const uint DefaultLoadAddress = 0x10_0000;

    /// <summary>The 64-bit entry, from the load address on.</summary>
    public const uint Entry64Offset = 0x200;
}
