using System.Buffers;
using System.Buffers.Binary;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

/// <summary>Puts received pages into a machine that does not run yet. Whatever a message says is checked against that machine's memory first.</summary>
internal sealed class PageReceiver
{
    private readonly GuestMemory _memory;

    // What has come at all, and what may hold something else than zeros.
    private readonly DirtyBitmap _covered;
    private readonly DirtyBitmap _written;
    private readonly byte[] _packed = new byte[Lz4.Bound(MigrationWire.PagesPerFrame * MigrationWire.PageBytes)];
    private readonly byte[] _data = new byte[MigrationWire.PagesPerFrame * MigrationWire.PageBytes];
    private long _missing;

    /// <param name="isFresh">Whether a region's memory reads as zeros where nothing has been written.</param>
    public PageReceiver(GuestMemory memory, Func<int, bool> isFresh)
    {
        _memory = memory;
        _covered = new DirtyBitmap(memory.Regions);
        _written = new DirtyBitmap(memory.Regions);
        _missing = (long)(memory.Size >> DirtyBitmap.PageShift);
        for (int i = 0; i < memory.Regions.Count; i++)
        {
            if (!isFresh(i))
            {
                _written.Mark(memory.Regions[i].Gpa, memory.Regions[i].Size);
            }
        }
    }

    /// <summary>Pages that have never come.</summary>
    public long Missing => _missing;

    /// <exception cref="MigrationException">The message is malformed, or a page is not RAM.</exception>
    public void Take(in Frame frame)
    {
        if (frame.Type == FrameType.Zeros)
        {
            TakeZeros(frame.Payload);
        }
        else
        {
            TakePages(frame);
        }
    }

    private void TakePages(in Frame frame)
    {
        ReadOnlySequence<byte> payload = frame.Payload;
        Span<byte> description = stackalloc byte[sizeof(uint) + (MigrationWire.PagesPerFrame * MigrationWire.RunBytes)];
        uint runs = 0;
        if (payload.Length >= sizeof(uint))
        {
            payload.Slice(0, sizeof(uint)).CopyTo(description);
            runs = BinaryPrimitives.ReadUInt32LittleEndian(description);
        }

        int bytes = sizeof(uint) + ((int)Math.Min(runs, MigrationWire.PagesPerFrame + 1) * MigrationWire.RunBytes);
        if (runs is 0 or > MigrationWire.PagesPerFrame || payload.Length < bytes)
        {
            throw new MigrationException($"message Pages describes {runs} runs in {payload.Length} bytes");
        }

        payload.Slice(0, bytes).CopyTo(description);
        int pages = 0;
        for (int i = 0; i < (int)runs; i++)
        {
            (ulong gpa, uint count) = Run(description, i);
            Check(gpa, count, MigrationWire.PagesPerFrame);
            pages += (int)count;
        }

        if (pages > MigrationWire.PagesPerFrame)
        {
            throw new MigrationException($"message Pages describes {pages} pages; {MigrationWire.PagesPerFrame} are allowed");
        }

        ReadOnlySequence<byte> data = Unpack(payload.Slice(bytes), frame.Flags, pages * MigrationWire.PageBytes);
        for (int i = 0, at = 0; i < (int)runs; i++)
        {
            (ulong gpa, uint count) = Run(description, i);
            int length = (int)count * MigrationWire.PageBytes;
            data.Slice(at, length).CopyTo(_memory.GetSpan(gpa, length));
            at += length;
            _written.Mark(gpa, (ulong)length);
            Cover(gpa, count);
        }
    }

    private ReadOnlySequence<byte> Unpack(ReadOnlySequence<byte> data, ushort flags, int bytes)
    {
        if ((flags & MigrationWire.FlagLz4) == 0)
        {
            return data.Length == bytes ? data : throw new MigrationException($"message Pages has {data.Length} bytes of data instead of {bytes}");
        }

        if (!Lz4.IsAvailable || data.Length > _packed.Length)
        {
            throw new MigrationException($"message Pages has an LZ4 block of {data.Length} bytes that was not agreed on");
        }

        data.CopyTo(_packed);
        return Lz4.TryDecompress(_packed.AsSpan(0, (int)data.Length), _data.AsSpan(0, bytes))
            ? new ReadOnlySequence<byte>(_data, 0, bytes)
            : throw new MigrationException($"message Pages has an LZ4 block that does not give {bytes} bytes");
    }

    private void TakeZeros(ReadOnlySequence<byte> payload)
    {
        if (payload.IsEmpty || payload.Length % MigrationWire.ZeroRunBytes != 0)
        {
            throw new MigrationException($"message Zeros has {payload.Length} bytes");
        }

        Span<byte> run = stackalloc byte[MigrationWire.ZeroRunBytes];
        for (long at = 0; at < payload.Length; at += MigrationWire.ZeroRunBytes)
        {
            payload.Slice(at, MigrationWire.ZeroRunBytes).CopyTo(run);
            ulong gpa = BinaryPrimitives.ReadUInt64LittleEndian(run);
            ulong count = BinaryPrimitives.ReadUInt64LittleEndian(run[sizeof(ulong)..]);
            Check(gpa, count, _memory.Size >> DirtyBitmap.PageShift);
            for (ulong i = 0; i < count; i++)
            {
                Clear(gpa + (i << DirtyBitmap.PageShift));
            }

            Cover(gpa, count);
        }
    }

    /// <summary>Memory that was never written stays untouched, and so unallocated.</summary>
    private void Clear(ulong gpa)
    {
        (int region, ulong page) = Find(gpa);
        if (_written.IsDirty(region, page))
        {
            Span<byte> contents = _memory.GetSpan(gpa, MigrationWire.PageBytes);
            if (contents.ContainsAnyExcept((byte)0))
            {
                contents.Clear();
            }
        }
    }

    private void Cover(ulong gpa, ulong count)
    {
        if (_missing == 0)
        {
            return;
        }

        for (ulong i = 0; i < count; i++)
        {
            (int region, ulong page) = Find(gpa + (i << DirtyBitmap.PageShift));
            if (!_covered.IsDirty(region, page))
            {
                _covered.MarkPage(region, page);
                _missing--;
            }
        }
    }

    private (int Region, ulong Page) Find(ulong gpa)
    {
        for (int i = 0; ; i++)
        {
            RamRegion r = _memory.Regions[i];
            if (gpa >= r.Gpa && gpa < r.End)
            {
                return (i, (gpa - r.Gpa) >> DirtyBitmap.PageShift);
            }
        }
    }

    private void Check(ulong gpa, ulong count, ulong most)
    {
        if (count == 0 || count > most || gpa % MigrationWire.PageBytes != 0 || !_memory.Contains(gpa, count << DirtyBitmap.PageShift))
        {
            throw new MigrationException($"{count} pages at 0x{gpa:x} are not RAM of the guest");
        }
    }

    private static (ulong Gpa, uint Count) Run(ReadOnlySpan<byte> description, int index)
    {
        ReadOnlySpan<byte> run = description.Slice(sizeof(uint) + (index * MigrationWire.RunBytes), MigrationWire.RunBytes);
        return (BinaryPrimitives.ReadUInt64LittleEndian(run), BinaryPrimitives.ReadUInt32LittleEndian(run[sizeof(ulong)..]));
    }
}
