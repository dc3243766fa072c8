using System.Buffers.Binary;

namespace Cnvm.Api.Tests.Machine;

/// <summary>
/// The smallest guest that boots: an ELF file with a PVH entry note (docs/misc/pvh of Xen) whose code writes a byte to port 0x80 a
/// hundred times and then halts for good. It shows that a machine is really built and runs.
/// </summary>
internal static class TinyKernel
{
    /// <summary>Times that the guest writes to a port.</summary>
    public const int PortWrites = 100;

    private const ulong Address = 0x10_0000;
    private const int CodeOffset = 0x100;
    private const int NoteOffset = 0x180;
    private const int NoteLength = 20;

    // mov ecx, 100; again: out 0x80, al; loop again; cli; halt: hlt; jmp halt
    private static ReadOnlySpan<byte> Code => [0xb9, PortWrites, 0, 0, 0, 0xe6, 0x80, 0xe2, 0xfc, 0xfa, 0xf4, 0xeb, 0xfd];

    public static byte[] Build()
    {
        byte[] file = new byte[0x200];
        Span<byte> elf = file;
        new byte[] { 0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1 }.CopyTo(elf);
        U16(elf, 16, 2); // ET_EXEC
        U16(elf, 18, 62); // EM_X86_64
        U32(elf, 20, 1);
        U64(elf, 24, Address + CodeOffset);
        U64(elf, 32, 64);
        U16(elf, 52, 64);
        U16(elf, 54, 56);
        U16(elf, 56, 2);
        Segment(elf[64..], type: 1, 0, (ulong)file.Length, 4096);
        Segment(elf[120..], type: 4, NoteOffset, NoteLength, 4);
        Code.CopyTo(elf[CodeOffset..]);
        U32(elf, NoteOffset, 4);
        U32(elf, NoteOffset + 4, 4);
        U32(elf, NoteOffset + 8, 18); // XEN_ELFNOTE_PHYS32_ENTRY
        "Xen\0"u8.CopyTo(elf[(NoteOffset + 12)..]);
        U32(elf, NoteOffset + 16, (uint)Address + CodeOffset);
        return file;
    }

    private static void Segment(Span<byte> header, uint type, ulong offset, ulong length, ulong align)
    {
        U32(header, 0, type);
        U32(header, 4, 7);
        U64(header, 8, offset);
        U64(header, 16, Address + offset);
        U64(header, 24, Address + offset);
        U64(header, 32, length);
        U64(header, 40, length);
        U64(header, 48, align);
    }

    private static void U16(Span<byte> span, int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(span[offset..], value);

    private static void U32(Span<byte> span, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(span[offset..], value);

    private static void U64(Span<byte> span, int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(span[offset..], value);
}
