using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>
/// Replays the log of a VHDX image (MS-VHDX §2.3): what another program was about to change in the table or the metadata when its host died.
/// Nothing is written into a log here.
/// </summary>
internal sealed class VhdxLog
{
    /// <summary>Most that is summed up in search of entries, in lengths of the log. Entries that are not of the last round may overlap.</summary>
    private const int Rounds = 8;

    /// <summary>Longest stretch that is written with zeroes where the file system has no holes.</summary>
    private const ulong MaxWrittenZeroes = 64 * VhdxSpec.MiB;

    private readonly IImageFile _file;
    private readonly VhdxHeader _header;
    private readonly byte[] _ring;
    private readonly int _length;

    private VhdxLog(IImageFile file, VhdxHeader header)
    {
        if (header.LogLength is 0 or > VhdxSpec.MaxLog)
        {
            throw VhdxSpec.Wrong(
                file.Path, $"has a log of {header.LogLength} bytes to be replayed; {VhdxSpec.MaxLog} are the limit (qemu-img check -r all replays it)");
        }

        _file = file;
        _header = header;
        _length = (int)header.LogLength;
        _ring = new byte[2 * _length];
        int result = file.ReadAll(header.LogOffset, _ring.AsSpan(0, _length));
        if (result < 0)
        {
            throw VhdxSpec.Wrong(file.Path, $"has a log that cannot be read: {new LinuxException("read", -result).Message}");
        }

        _ring.AsSpan(0, _length).CopyTo(_ring.AsSpan(_length));
    }

    /// <summary>Does what the log says, which has then nothing left that counts. The header says that it may have.</summary>
    /// <exception cref="BlockImageException">The log cannot be, the host cannot, or the image may not be written and would have to be.</exception>
    public static void Replay(IImageFile file, VhdxHeader header, bool isReadOnly)
    {
        VhdxLog log = new(file, header);
        List<VhdxLogEntry> entries = log.FindActive();
        if (entries.Count == 0)
        {
            // Whoever gave the log its identifier died before the first entry was whole: nothing had been changed yet.
            return;
        }

        if (isReadOnly)
        {
            throw VhdxSpec.Wrong(
                file.Path, "was not closed by its last user, and its log must be replayed: open it without readonly=on, or run qemu-img check -r all");
        }

        log.Check(entries);

        // The header goes on naming the log until all is done: whoever comes after another crash begins from the start.
        int result = header.Update(changesDisk: false, header.LogGuid);
        foreach (VhdxLogEntry entry in entries)
        {
            result = result < 0 ? result : log.Apply(entry);
        }

        result = result < 0 ? result : file.DataSync();
        result = result < 0 ? result : header.Update(changesDisk: false, Guid.Empty);
        if (result < 0)
        {
            throw VhdxSpec.Wrong(file.Path, $"has a log that cannot be replayed: {new LinuxException("write", -result).Message}");
        }
    }

    /// <summary>The entries that count, oldest first: the unbroken row with the highest number, from where its last entry says.</summary>
    private List<VhdxLogEntry> FindActive()
    {
        // Each place is looked at once, however many rows lead over it.
        VhdxLogEntry?[] found = new VhdxLogEntry?[_length / VhdxSpec.LogSector];
        long budget = (long)Rounds * _length;
        for (int i = 0; i < found.Length; i++)
        {
            found[i] = VhdxLogEntry.TryParse(_ring, _length, i * VhdxSpec.LogSector, _header.LogGuid, ref budget, out VhdxLogEntry entry) ? entry : null;
        }

        if (budget < 0)
        {
            throw VhdxSpec.Wrong(_file.Path, "has a log whose entries lie over each other: it is damaged");
        }

        List<VhdxLogEntry> best = [];
        bool[] isInside = new bool[found.Length];
        for (int i = 0; i < found.Length; i++)
        {
            // A row is followed from its beginning only: what is inside of one begins none that is newer.
            if (found[i] is not { } first || isInside[i])
            {
                continue;
            }

            List<VhdxLogEntry> row = Follow(first, found);
            foreach (VhdxLogEntry entry in CollectionsMarshal.AsSpan(row)[1..])
            {
                isInside[entry.At / VhdxSpec.LogSector] = true;
            }

            VhdxLogEntry last = row[^1];
            int tail = row.FindIndex(e => e.At == last.Tail);
            if (tail >= 0 && (best.Count == 0 || last.Sequence > best[^1].Sequence))
            {
                best = row[tail..];
            }
        }

        return best;
    }

    private List<VhdxLogEntry> Follow(VhdxLogEntry first, VhdxLogEntry?[] found)
    {
        List<VhdxLogEntry> row = [first];
        int total = first.Length;
        while (true)
        {
            VhdxLogEntry last = row[^1];
            int next = (last.At + last.Length) % _length;
            if (found[next / VhdxSpec.LogSector] is not { } entry || entry.Sequence != last.Sequence + 1 || total + entry.Length > _length)
            {
                return row;
            }

            total += entry.Length;
            row.Add(entry);
        }
    }

    private ReadOnlySpan<byte> Bytes(VhdxLogEntry entry) => _ring.AsSpan(entry.At, entry.Length);

    /// <summary>Refuses entries that nobody who keeps to the format writes, before any of them does anything.</summary>
    private void Check(List<VhdxLogEntry> entries)
    {
        ulong size = _file.Size;
        VhdxLogEntry last = entries[^1];
        if (last.FlushedFileOffset > size)
        {
            throw VhdxSpec.Wrong(_file.Path, $"has {size} bytes, and had {last.FlushedFileOffset} when its log was written: it was not copied whole");
        }

        ulong end = Math.Max(size, last.LastFileOffset);
        VhdxRegion log = new("log", _header.LogOffset, _header.LogLength);
        foreach (VhdxLogEntry entry in entries)
        {
            if (entry.LastFileOffset > VhdxSpec.MaxFile)
            {
                throw VhdxSpec.Wrong(_file.Path, $"is to have {entry.LastFileOffset} bytes by its log, which cannot be");
            }

            for (int i = 0; i < entry.Descriptors; i++)
            {
                (ulong offset, ulong length, _) = Read(Bytes(entry), i);
                if (offset < VhdxSpec.MiB || offset % VhdxSpec.LogSector != 0 || length % VhdxSpec.LogSector != 0
                    || offset > end || length > end - offset || log.Overlaps(offset, length))
                {
                    throw VhdxSpec.Wrong(_file.Path, $"has a log that changes {length} bytes at {offset}, where it may not: it is damaged");
                }
            }
        }
    }

    private static (ulong Offset, ulong Length, bool IsZero) Read(ReadOnlySpan<byte> entry, int index)
    {
        ReadOnlySpan<byte> descriptor = VhdxLogEntry.Descriptor(entry, index);
        bool isZero = descriptor.StartsWith(VhdxSpec.ZeroSignature);
        ulong length = isZero ? VhdxLogEntry.Wide(descriptor[VhdxSpec.DescriptorLeading..]) : VhdxSpec.LogSector;
        return (VhdxLogEntry.Wide(descriptor[VhdxSpec.DescriptorFileOffset..]), length, isZero);
    }

    private int Apply(VhdxLogEntry entry)
    {
        int result = 0;
        if (_file.Size < entry.LastFileOffset && entry.LastFileOffset >= VhdxSpec.LogSector)
        {
            result = ZeroFill.Write(_file, entry.LastFileOffset - BlockSpec.SectorSize, BlockSpec.SectorSize);
        }

        ReadOnlySpan<byte> bytes = Bytes(entry);
        int data = entry.DataAt;
        Span<byte> sector = stackalloc byte[VhdxSpec.LogSector];
        for (int i = 0; i < entry.Descriptors && result == 0; i++)
        {
            (ulong offset, ulong length, bool isZero) = Read(bytes, i);
            if (isZero)
            {
                result = Zero(offset, length);
                continue;
            }

            // The sector's first eight and last four bytes lie in the descriptor, as the log has marks of its own there.
            ReadOnlySpan<byte> descriptor = VhdxLogEntry.Descriptor(bytes, i);
            bytes.Slice(data, VhdxSpec.LogSector).CopyTo(sector);
            descriptor.Slice(VhdxSpec.DescriptorLeading, VhdxSpec.DataLeadingBytes).CopyTo(sector);
            descriptor.Slice(VhdxSpec.DescriptorTrailing, sizeof(uint)).CopyTo(sector[VhdxSpec.DataTrailing..]);
            data += VhdxSpec.LogSector;
            result = _file.WriteAll(offset, sector);
        }

        return result;
    }

    private int Zero(ulong offset, ulong length)
    {
        if (length == 0)
        {
            return 0;
        }

        int result = _file.PunchHole(offset, length);
        return result == -Errno.EOPNOTSUPP && length <= MaxWrittenZeroes ? ZeroFill.Write(_file, offset, length) : result;
    }
}
