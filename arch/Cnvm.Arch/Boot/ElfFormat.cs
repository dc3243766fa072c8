namespace Cnvm.Arch.Boot;

/// <summary>Constants and offsets of ELF64 (System V ABI, chapters 4 and 5) and of Xen's notes (xen/include/public/elfnote.h).</summary>
internal static class ElfFormat
{
    public const int HeaderSize = 64;
    public const int ProgramHeaderSize = 56;

    public const byte Class64 = 2;
    public const byte LittleEndian = 1;
    public const ushort TypeExecutable = 2;
    public const ushort TypeShared = 3;
    public const ushort MachineX86_64 = 62;

    public const uint SegmentLoad = 1;
    public const uint SegmentNote = 4;

    public const uint NotePhys32Entry = 18;

    public static ReadOnlySpan<byte> Magic => [0x7F, (byte)'E', (byte)'L', (byte)'F'];

    public static ReadOnlySpan<byte> NoteXen => "Xen\0"u8;
}
