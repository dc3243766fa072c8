using System.Buffers.Binary;
using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Boot;

/// <summary>An ELF64 kernel: its program headers, checked as far as possible without knowing the guest's RAM.</summary>
internal sealed class ElfImage
{
    // A kernel has a handful of segments and less than a page of notes; more is not one.
    private const int MaxSegments = 64;
    private const int MaxNoteBytes = 64 << 10;

    private readonly KernelSource _source;
    private readonly List<ElfSegment> _loads = [];
    private readonly List<ElfSegment> _notes = [];

    private ElfImage(KernelSource source) => _source = source;

    /// <summary>e_entry: for a kernel, a physical address.</summary>
    public ulong Entry { get; private init; }

    /// <summary>From the first to the last byte that the segments occupy.</summary>
    public AddressRange Extent { get; private set; }

    public static bool IsElf(ReadOnlySpan<byte> start) => start.StartsWith(ElfFormat.Magic);

    /// <summary>Reads and checks the headers.</summary>
    public static ElfImage Parse(KernelSource source)
    {
        Span<byte> header = stackalloc byte[ElfFormat.HeaderSize];
        source.ReadExactly(header, 0);
        var name = source.Name;
        if (!IsElf(header))
        {
            throw new KernelLoadException($"'{name}' does not hold an ELF kernel.");
        }

        var type = BinaryPrimitives.ReadUInt16LittleEndian(header[16..]);
        var machine = BinaryPrimitives.ReadUInt16LittleEndian(header[18..]);
        if (header[4] != ElfFormat.Class64 || header[5] != ElfFormat.LittleEndian || machine != ElfFormat.MachineX86_64)
        {
            throw new KernelLoadException($"'{name}' is an ELF file for another machine (class {header[4]}, e_machine {machine}): "
                + "an x86-64 kernel is needed.");
        }

        if (type is not (ElfFormat.TypeExecutable or ElfFormat.TypeShared))
        {
            throw new KernelLoadException($"'{name}' is not an executable ELF file (e_type {type}).");
        }

        var image = new ElfImage(source) { Entry = BinaryPrimitives.ReadUInt64LittleEndian(header[24..]) };
        image.ReadProgramHeaders(
            BinaryPrimitives.ReadUInt64LittleEndian(header[32..]),
            BinaryPrimitives.ReadUInt16LittleEndian(header[54..]),
            BinaryPrimitives.ReadUInt16LittleEndian(header[56..]));
        image.CheckLoads();
        return image;
    }

    /// <summary>Whether an address lies in a segment.</summary>
    public bool Holds(ulong address) => _loads.Exists(load => load.Memory.Contains(address));

    /// <summary>Copies the segments into guest memory, which the caller has checked to hold <see cref="Extent"/>.</summary>
    public void Load(IPhysicalMemory memory, bool memoryIsZero)
    {
        foreach (var load in _loads)
        {
            _source.CopyTo(memory, load.Memory.Start, load.FileOffset, load.FileSize);
            if (!memoryIsZero)
            {
                Clear(memory, AddressRange.Between(load.Memory.Start + load.FileSize, load.Memory.End));
            }
        }
    }

    /// <summary>The entry that a note of type XEN_ELFNOTE_PHYS32_ENTRY names, read from the file; null without one.</summary>
    public ulong? FindPvhEntry() => FindPvhEntry((note, bytes) =>
    {
        _source.ReadExactly(bytes, note.FileOffset);
        return true;
    });

    /// <summary>The same after <see cref="Load"/>, from guest memory: for sources that cannot be read twice.</summary>
    public ulong? FindLoadedPvhEntry(IPhysicalMemory memory) => FindPvhEntry((note, bytes) =>
    {
        foreach (var load in _loads)
        {
            var skip = note.FileOffset - load.FileOffset;
            if (skip >= 0 && (ulong)skip <= load.FileSize && note.FileSize <= load.FileSize - (ulong)skip)
            {
                memory.GetSpan(load.Memory.Start + (ulong)skip, bytes.Length).CopyTo(bytes);
                return true;
            }
        }

        return false;
    });

    private static void Clear(IPhysicalMemory memory, AddressRange range)
    {
        const int Piece = 1 << 28;
        for (var gpa = range.Start; gpa < range.End; gpa += Piece)
        {
            memory.GetSpan(gpa, (int)Math.Min(range.End - gpa, Piece)).Clear();
        }
    }

    private static ulong? ReadPhys32Entry(ReadOnlySpan<byte> notes, int alignment)
    {
        // n_namesz, n_descsz, n_type, then name and descriptor, each padded.
        while (notes.Length >= 12)
        {
            var nameSize = BinaryPrimitives.ReadUInt32LittleEndian(notes);
            var descriptorSize = BinaryPrimitives.ReadUInt32LittleEndian(notes[4..]);
            var type = BinaryPrimitives.ReadUInt32LittleEndian(notes[8..]);
            var descriptorStart = AlignUp(12L + nameSize, alignment);
            var end = descriptorStart + descriptorSize;
            if (end > notes.Length)
            {
                return null;
            }

            var name = notes.Slice(12, (int)nameSize);
            var descriptor = notes[(int)descriptorStart..(int)end];
            if (type == ElfFormat.NotePhys32Entry && name.SequenceEqual(ElfFormat.NoteXen) && descriptor.Length >= 4)
            {
                // Written with the width of a pointer by some kernels and as 32 bits by others; the address has 32 bits.
                return BinaryPrimitives.ReadUInt32LittleEndian(descriptor);
            }

            notes = notes[(int)Math.Min(AlignUp(end, alignment), notes.Length)..];
        }

        return null;
    }

    private static long AlignUp(long value, int alignment) => (value + alignment - 1) & ~((long)alignment - 1);

    private ulong? FindPvhEntry(Func<ElfSegment, byte[], bool> read)
    {
        foreach (var note in _notes)
        {
            var bytes = new byte[note.FileSize];
            if (read(note, bytes) && ReadPhys32Entry(bytes, note.Alignment == 8 ? 8 : 4) is { } entry)
            {
                return Holds(entry)
                    ? entry
                    : throw new KernelLoadException($"'{_source.Name}' names a PVH entry (0x{entry:x}) that lies in none of its segments.");
            }
        }

        return null;
    }

    private void ReadProgramHeaders(ulong offset, ushort size, ushort count)
    {
        if (size != ElfFormat.ProgramHeaderSize || count is 0 or > MaxSegments)
        {
            throw new KernelLoadException(
                $"'{_source.Name}' has {count} program headers of {size} bytes; a kernel has 1 to {MaxSegments} of "
                + $"{ElfFormat.ProgramHeaderSize}.");
        }

        if (offset > long.MaxValue - (MaxSegments * ElfFormat.ProgramHeaderSize))
        {
            throw new KernelLoadException($"'{_source.Name}' has its program headers (e_phoff) outside the file.");
        }

        Span<byte> table = stackalloc byte[MaxSegments * ElfFormat.ProgramHeaderSize];
        table = table[..(count * ElfFormat.ProgramHeaderSize)];
        _source.ReadExactly(table, (long)offset);
        for (var i = 0; i < count; i++)
        {
            AddProgramHeader(i, table.Slice(i * ElfFormat.ProgramHeaderSize, ElfFormat.ProgramHeaderSize));
        }
    }

    private void AddProgramHeader(int index, ReadOnlySpan<byte> header)
    {
        var type = BinaryPrimitives.ReadUInt32LittleEndian(header);
        var offset = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        var address = BinaryPrimitives.ReadUInt64LittleEndian(header[24..]);
        var fileSize = BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
        var memorySize = BinaryPrimitives.ReadUInt64LittleEndian(header[40..]);
        var alignment = BinaryPrimitives.ReadUInt64LittleEndian(header[48..]);
        if (type is not (ElfFormat.SegmentLoad or ElfFormat.SegmentNote) || (fileSize == 0 && memorySize == 0))
        {
            return;
        }

        var limit = (ulong)(_source.Length ?? long.MaxValue);
        if (offset > limit || fileSize > limit - offset)
        {
            throw new KernelLoadException($"'{_source.Name}': program header {index} takes bytes {offset} to {offset + (UInt128)fileSize} "
                + $"of a file of {_source.Length ?? 0}. The file is truncated or damaged.");
        }

        var segment = new ElfSegment((long)offset, fileSize, new AddressRange(address, memorySize), alignment);
        if (type == ElfFormat.SegmentNote)
        {
            if (fileSize > MaxNoteBytes)
            {
                throw new KernelLoadException($"'{_source.Name}' has {fileSize} bytes of notes; a kernel has less than {MaxNoteBytes}.");
            }

            _notes.Add(segment);
            return;
        }

        if (fileSize > memorySize || address > ulong.MaxValue - memorySize)
        {
            throw new KernelLoadException($"'{_source.Name}': program header {index} puts {fileSize} bytes into {memorySize} at "
                + $"0x{address:x}.");
        }

        _loads.Add(segment);
    }

    private void CheckLoads()
    {
        if (_loads.Count == 0)
        {
            throw new KernelLoadException($"'{_source.Name}' has nothing to load (no PT_LOAD program header).");
        }

        _loads.Sort((a, b) => a.Memory.Start.CompareTo(b.Memory.Start));
        for (var i = 1; i < _loads.Count; i++)
        {
            if (_loads[i - 1].Memory.Overlaps(_loads[i].Memory))
            {
                throw new KernelLoadException($"'{_source.Name}' has segments that overlap: {_loads[i - 1].Memory} and "
                    + $"{_loads[i].Memory}.");
            }
        }

        Extent = AddressRange.Between(_loads[0].Memory.Start, _loads[^1].Memory.End);

        // A source that only goes forwards is then read in one pass.
        _loads.Sort((a, b) => a.FileOffset.CompareTo(b.FileOffset));
    }
}
