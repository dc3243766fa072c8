using System.Buffers.Binary;
using System.IO.Compression;

namespace Cnvm.Arch.Tests.Boot;

/// <summary>Small kernels made field by field from the specifications.</summary>
internal static class TestKernels
{
    public const ulong ElfAddress = 0x100_0000;
    public const uint PvhEntry = 0x100_0040;
    public const int BzSetupSects = 3;

    /// <summary>An ELF kernel: a text segment of 0x300 bytes (0x1000 in memory) that holds the notes, and a data segment.</summary>
    public static byte[] Elf(bool pvh, bool longDescriptor = false)
    {
        var file = new byte[0x800];
        var span = file.AsSpan();
        new byte[] { 0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1 }.CopyTo(span);
        U16(span, 16, 2);
        U16(span, 18, 62);
        U32(span, 20, 1);
        U64(span, 24, ElfAddress + 0x10);
        U64(span, 32, 64);
        U16(span, 52, 64);
        U16(span, 54, 56);
        U16(span, 56, (ushort)(pvh ? 3 : 2));
        ProgramHeader(span[64..], 1, 0x200, ElfAddress, 0x300, 0x1000, 0x1000);
        ProgramHeader(span[120..], 1, 0x500, ElfAddress + 0x2000, 0x300, 0x300, 0x1000);
        for (var i = 0x200; i < 0x800; i++)
        {
            file[i] = (byte)(i * 7);
        }

        if (pvh)
        {
            // Two notes: one of another owner in front.
            var note = new byte[12 + 4 + 4 + 12 + 4 + 8];
            U32(note, 0, 4);
            U32(note, 4, 3);
            U32(note, 8, 18);
            "GNU\0"u8.CopyTo(note.AsSpan(12));
            U32(note, 20, 4);
            U32(note, 24, longDescriptor ? 8u : 4u);
            U32(note, 28, 18);
            "Xen\0"u8.CopyTo(note.AsSpan(32));
            U32(note, 36, PvhEntry);
            var length = longDescriptor ? note.Length : note.Length - 4;
            note.AsSpan(0, length).CopyTo(span[0x280..]);
            ProgramHeader(span[176..], 4, 0x280, ElfAddress + 0x80, (ulong)length, (ulong)length, 4);
        }

        return file;
    }

    /// <summary>A bzImage whose packed kernel is <paramref name="payload"/>.</summary>
    public static byte[] BzImage(byte[]? payload = null, bool entry64 = true, bool relocatable = true)
    {
        const int PayloadStart = 0x400;
        payload ??= [0xDE, 0xAD, 0xBE, 0xEF, 1, 2, 3, 4];
        var kernel = (PayloadStart + payload.Length + 15) & ~15;
        var file = new byte[((BzSetupSects + 1) * 512) + kernel];
        var span = file.AsSpan();
        file[0x1F1] = BzSetupSects;
        U32(span, 0x1F4, (uint)(kernel / 16));
        U16(span, 0x1FE, 0xAA55);
        file[0x200] = 0xEB;
        file[0x201] = 0x6A; // header ends at 0x26C
        U32(span, 0x202, 0x5372_6448);
        U16(span, 0x206, 0x20F);
        file[0x211] = 1;
        U32(span, 0x214, 0x10_0000);
        U32(span, 0x22C, 0x7FFF_FFFF);
        U32(span, 0x230, 0x20_0000);
        file[0x234] = (byte)(relocatable ? 1 : 0);
        U16(span, 0x236, (ushort)(entry64 ? 1 : 0));
        U32(span, 0x238, 2047);
        U32(span, 0x248, PayloadStart);
        U32(span, 0x24C, (uint)payload.Length);
        U64(span, 0x250, 0xBAD0_0000); // setup_data: not for a file to say
        U64(span, 0x258, 0x100_0000);
        U32(span, 0x260, 0x20_0000);
        file[0x26C] = 0xCC; // behind the header
        for (var i = (BzSetupSects + 1) * 512; i < file.Length; i++)
        {
            file[i] = (byte)(i * 3);
        }

        payload.CopyTo(span[(((BzSetupSects + 1) * 512) + PayloadStart)..]);
        return file;
    }

    public static byte[] Gzip(byte[] bytes)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest))
        {
            gzip.Write(bytes);
        }

        return packed.ToArray();
    }

    private static void ProgramHeader(
        Span<byte> header, uint type, ulong offset, ulong address, ulong fileSize, ulong memorySize, ulong align)
    {
        U32(header, 0, type);
        U32(header, 4, 5);
        U64(header, 8, offset);
        U64(header, 16, 0xFFFF_FFFF_8000_0000 + address);
        U64(header, 24, address);
        U64(header, 32, fileSize);
        U64(header, 40, memorySize);
        U64(header, 48, align);
    }

    private static void U16(Span<byte> span, int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(span[offset..], value);

    private static void U32(Span<byte> span, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(span[offset..], value);

    private static void U64(Span<byte> span, int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(span[offset..], value);
}
