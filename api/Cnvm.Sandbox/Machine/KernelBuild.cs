using System.Buffers;
using System.Buffers.Binary;
using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Sandbox.Machine;

/// <summary>
/// Which build of a kernel a file is, and which one an initramfs was made for: the linker's build ID (a note, System V ABI chapter 5), which an initramfs of
/// guest-images/ has beside its version in <c>/etc/cnvm-version</c>. Some hundred bytes of each file are read.
/// </summary>
internal static class KernelBuild
{
    private const string VersionFile = "etc/cnvm-version";
    private const string Word = "kernel ";
    private const int MostIdBytes = 64;

    private const int ElfHeaderBytes = 64;
    private const int SegmentBytes = 56;
    private const int MostSegments = 64;
    private const int MostNoteBytes = 64 << 10;
    private const uint NoteSegment = 4;
    private const uint BuildIdNote = 3;

    private const int EntryBytes = 110;
    private const int MagicBytes = 6;
    private const int NumberDigits = 8;
    private const int SizeField = 6;
    private const int NameSizeField = 11;

    /// <summary>Folders and the version come before the agent, which is long.</summary>
    private const int FirstBytes = 4096;

    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    /// <exception cref="SandboxException">Both files lie in one folder, and the initramfs was made for another kernel.</exception>
    /// <exception cref="IOException">One cannot be read.</exception>
    public static void ThrowIfMixed(string? kernel, string? initramfs)
    {
        // A kernel of the user's own lies elsewhere. What is missing is for the VMM to say.
        if (!File.Exists(kernel) || !File.Exists(initramfs) || Path.GetDirectoryName(Path.GetFullPath(kernel)) != Path.GetDirectoryName(Path.GetFullPath(initramfs)))
        {
            return;
        }

        if (ExpectedBy(initramfs) is { } expected && IdOf(kernel) is { } actual && expected != actual)
        {
            throw new SandboxException(
                SandboxErrorKind.Incompatible,
                $"{initramfs} was made for the kernel with build ID {expected}, and {kernel} beside it has {actual}: take both from one 'make images', or put a kernel of your own into another folder");
        }
    }

    /// <summary>The build ID of a kernel, in hexadecimal digits; null if the file does not tell (a compressed kernel does not).</summary>
    internal static string? IdOf(string kernel)
    {
        using SafeFileHandle file = RegularFile.OpenRead(kernel);
        Span<byte> header = stackalloc byte[ElfHeaderBytes];
        if (!TryRead(file, header, 0) || !header.StartsWith("\u007fELF\u0002\u0001"u8))
        {
            return null;
        }

        ulong table = BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
        int segments = BinaryPrimitives.ReadUInt16LittleEndian(header[56..]);
        if (BinaryPrimitives.ReadUInt16LittleEndian(header[54..]) != SegmentBytes || segments > MostSegments)
        {
            return null;
        }

        Span<byte> segment = stackalloc byte[SegmentBytes];
        for (int i = 0; i < segments && TryRead(file, segment, table + (ulong)(i * SegmentBytes)); i++)
        {
            ulong size = BinaryPrimitives.ReadUInt64LittleEndian(segment[32..]);
            if (BinaryPrimitives.ReadUInt32LittleEndian(segment) == NoteSegment && size <= MostNoteBytes)
            {
                byte[] notes = new byte[size];
                if (TryRead(file, notes, BinaryPrimitives.ReadUInt64LittleEndian(segment[8..])) && IdIn(notes) is { } id)
                {
                    return id;
                }
            }
        }

        return null;
    }

    /// <summary>The build ID that an initramfs (cpio, "newc") names; null if it names none.</summary>
    internal static string? ExpectedBy(string initramfs)
    {
        using SafeFileHandle file = RegularFile.OpenRead(initramfs);
        byte[] start = new byte[FirstBytes];
        ReadOnlySpan<byte> rest = start.AsSpan(0, RandomAccess.Read(file, start, 0));
        while (rest.Length > EntryBytes && rest.StartsWith("070701"u8)
            && TryNumber(rest, NameSizeField, out int nameSize) && TryNumber(rest, SizeField, out int size))
        {
            int data = Aligned(EntryBytes + nameSize);
            if (nameSize < 1 || data + (long)size > rest.Length)
            {
                return null;
            }

            if (rest.Slice(EntryBytes, nameSize - 1).SequenceEqual(System.Text.Encoding.ASCII.GetBytes(VersionFile)))
            {
                return KernelIn(System.Text.Encoding.ASCII.GetString(rest.Slice(data, size)));
            }

            rest = rest[Math.Min(Aligned(data + size), rest.Length)..];
        }

        return null;
    }

    private static string? KernelIn(string version)
    {
        foreach (string line in version.Split('\n'))
        {
            if (line.StartsWith(Word, StringComparison.Ordinal) && line.Length <= Word.Length + (2 * MostIdBytes) && !line.AsSpan(Word.Length).ContainsAnyExcept(HexDigits))
            {
                return line[Word.Length..];
            }
        }

        return null;
    }

    private static string? IdIn(ReadOnlySpan<byte> notes)
    {
        const int HeaderBytes = 12;
        while (notes.Length >= HeaderBytes)
        {
            ulong nameSize = BinaryPrimitives.ReadUInt32LittleEndian(notes);
            ulong size = BinaryPrimitives.ReadUInt32LittleEndian(notes[4..]);
            ulong data = HeaderBytes + ((nameSize + 3) & ~3ul);
            if (data + size > (ulong)notes.Length)
            {
                return null;
            }

            if (BinaryPrimitives.ReadUInt32LittleEndian(notes[8..]) == BuildIdNote && size is > 0 and <= MostIdBytes
                && notes[HeaderBytes..(int)data].StartsWith("GNU\0"u8))
            {
                return Convert.ToHexStringLower(notes.Slice((int)data, (int)size));
            }

            notes = notes[(int)Math.Min((data + size + 3) & ~3ul, (ulong)notes.Length)..];
        }

        return null;
    }

    private static bool TryNumber(ReadOnlySpan<byte> entry, int field, out int number) => int.TryParse(
        entry.Slice(MagicBytes + (field * NumberDigits), NumberDigits), System.Globalization.NumberStyles.AllowHexSpecifier,
        System.Globalization.CultureInfo.InvariantCulture, out number) && number is >= 0 and < FirstBytes;

    private static int Aligned(int offset) => (offset + 3) & ~3;

    private static bool TryRead(SafeFileHandle file, Span<byte> buffer, ulong offset)
    {
        if (offset > long.MaxValue - MostNoteBytes)
        {
            return false;
        }

        int count = 0;
        while (count < buffer.Length && RandomAccess.Read(file, buffer[count..], (long)offset + count) is > 0 and int read)
        {
            count += read;
        }

        return count == buffer.Length;
    }
}
