using System.Buffers.Binary;

namespace Cnvm.Arch.Boot;

/// <summary>The setup header of a bzImage (Documentation/arch/x86/boot.rst), checked.</summary>
internal sealed class BzImageHeader
{
    private readonly byte[] _start;

    private BzImageHeader(byte[] start, long fileLength)
    {
        _start = start;
        KernelOffset = ((start[BootParams.SetupSects] == 0 ? 4 : start[BootParams.SetupSects]) + 1) * 512;
        KernelSize = fileLength - KernelOffset;
    }

    /// <summary>Where the protected-mode kernel starts in the file.</summary>
    public long KernelOffset { get; }

    /// <summary>Its size.</summary>
    public long KernelSize { get; }

    public ushort Version => U16(BootParams.Version);

    /// <summary>Longest command line, without its NUL.</summary>
    public uint CommandLineSize => U32(BootParams.CommandLineSize);

    /// <summary>Highest address that the last byte of an initramfs may have.</summary>
    public uint InitrdAddressMax => U32(BootParams.InitrdAddressMax);

    public bool IsRelocatable => _start[BootParams.RelocatableKernel] != 0;

    /// <summary>Where the kernel runs if it can.</summary>
    public ulong PreferredAddress => Version >= 0x20A ? U64(BootParams.PreferredAddress) : BootParams.DefaultLoadAddress;

    /// <summary>Memory that it needs there before it reads the memory map.</summary>
    public uint InitSize => Version >= 0x20A ? U32(BootParams.InitSize) : 0;

    public bool HasEntry64 => Version >= 0x20C && (U16(BootParams.ExtendedLoadFlags) & BootParams.ExtendedFlagKernel64) != 0;

    /// <summary>Where the packed kernel lies in the file, and its size; 0 if the header does not say.</summary>
    public long PayloadOffset => PayloadLength == 0 ? 0 : KernelOffset + U32(BootParams.PayloadOffset);

    public uint PayloadLength => Version >= 0x208 ? U32(BootParams.PayloadLength) : 0;

    /// <summary>Bytes of the setup header, to be copied into boot_params at the offset where they stand.</summary>
    public ReadOnlySpan<byte> SetupHeader
    {
        get
        {
            // The byte behind the jump opcode at 0x200 is its distance: the header ends where it lands.
            var end = BootParams.JumpEnd + _start[BootParams.JumpEnd - 1];
            return _start.AsSpan(BootParams.SetupSects..Math.Clamp(end, BootParams.CommandLineSize + 4, BootParams.SetupHeaderLimit));
        }
    }

    public static bool IsBzImage(ReadOnlySpan<byte> start) =>
        start.Length >= BootParams.SetupHeaderLimit
        && BinaryPrimitives.ReadUInt16LittleEndian(start[BootParams.BootFlag..]) == BootParams.BootFlagValue
        && BinaryPrimitives.ReadUInt32LittleEndian(start[BootParams.HeaderMagic..]) == BootParams.HeaderMagicValue;

    /// <summary>Checks the header.</summary>
    /// <param name="start">The first <see cref="BootParams.SetupHeaderLimit"/> bytes of the file; kept.</param>
    /// <param name="file">For its name and size.</param>
    public static BzImageHeader Parse(byte[] start, IKernelFile file)
    {
        var header = new BzImageHeader(start, file.Length);
        if (header.Version < BootParams.OldestVersion)
        {
            throw new KernelLoadException(
                $"'{file.Name}' has boot protocol {header.Version >> 8}.{header.Version & 0xFF:D2}; 2.06 (Linux 2.6.22) or "
                + "newer is needed.");
        }

        if ((start[BootParams.LoadFlags] & BootParams.LoadFlagLoadedHigh) == 0)
        {
            throw new KernelLoadException($"'{file.Name}' is a zImage (LOADED_HIGH is clear in loadflags): a bzImage is needed.");
        }

        // syssize counts 16-byte units, rounded up.
        var needed = header.KernelOffset + ((long)header.U32(BootParams.SysSize) * 16) - 15;
        if (header.KernelSize <= 0 || needed > file.Length)
        {
            throw new KernelLoadException($"'{file.Name}' has {file.Length} bytes and its header (syssize) asks for {needed}. "
                + "The file is truncated.");
        }

        if (header.PayloadLength != 0 && header.PayloadOffset + header.PayloadLength > file.Length)
        {
            throw new KernelLoadException($"'{file.Name}' has its payload (payload_offset, payload_length) outside the file.");
        }

        return header;
    }

    private ushort U16(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_start.AsSpan(offset));

    private uint U32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_start.AsSpan(offset));

    private ulong U64(int offset) => BinaryPrimitives.ReadUInt64LittleEndian(_start.AsSpan(offset));
}
