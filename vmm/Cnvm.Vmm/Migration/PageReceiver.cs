using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Migration;

/// <summary>Puts received pages into a machine that does not run yet. Whatever a message says is checked against that machine's memory first.</summary>
internal sealed class PageReceiver
{
    private readonly GuestMemory _memory;

    // What has come at all, and what may hold something else than zeros.
    private readonly DirtyBitmap _covered;
    private readonly DirtyBitmap _written;
    private readonly ContentUnpacker _unpacker = new(MigrationWire.PagesPerFrame * MigrationWire.PageBytes);
    private readonly StrongBox<long> _missing;

    /// <param name="isFresh">Whether a region's memory reads as zeros where nothing has been written.</param>
    public PageReceiver(GuestMemory memory, Func<int, bool> isFresh)
    {
        _memory = memory;
        _covered = new DirtyBitmap(memory.Regions);
        _written = new DirtyBitmap(memory.Regions);
        _missing = new StrongBox<long>((long)(memory.Size >> DirtyBitmap.PageShift));
        for (int i = 0; i < memory.Regions.Count; i++)
        {
            if (!isFresh(i))
            {
                _written.Mark(memory.Regions[i].Gpa, memory.Regions[i].Size);
            }
        }
    }

    /// <summary>For another connection that brings pages of the same machine, on a thread of its own.</summary>
    public PageReceiver(PageReceiver other)
    {
        _memory = other._memory;
        _covered = other._covered;
        _written = other._written;
        _missing = other._missing;
    }

    /// <summary>Where pages go once the machine runs; null before: straight into the memory.</summary>
    public LatePages? Late { get; set; }

    /// <summary>Whether each page has come, or is one of these.</summary>
    public bool HasAllBut(MissingPages missing)
    {
        for (int i = 0; i < _memory.Regions.Count; i++)
        {
            for (ulong page = 0; page < _memory.Regions[i].Size >> DirtyBitmap.PageShift; page++)
            {
                if (!_covered.IsDirty(i, page) && !missing.Contains(_memory.Regions[i].Gpa + (page << DirtyBitmap.PageShift)))
                {
                    return false;
                }
            }
        }

        return true;
    }

    /// <summary>Pages that have never come.</summary>
    public long Missing => Interlocked.Read(ref _missing.Value);

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

    /// <summary>Takes what has changed of pages that have come. Before the machine is made.</summary>
    /// <exception cref="MigrationException">The message is malformed, or a page is not RAM, or has never come.</exception>
    public void TakeDeltas(in Frame frame)
    {
        byte[] payload = frame.Payload.ToArray();
        uint pages = payload.Length < sizeof(uint) ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(payload);
        int at = sizeof(uint);
        for (uint i = 0; i < pages; i++)
        {
            if (payload.Length - at < sizeof(ulong))
            {
                throw new MigrationException($"message Deltas describes {pages} pages in {payload.Length} bytes");
            }

            ulong gpa = BinaryPrimitives.ReadUInt64LittleEndian(payload.AsSpan(at));
            Check(gpa, 1, 1);
            (int region, ulong page) = Find(gpa);
            if (!_covered.IsDirty(region, page))
            {
                throw new MigrationException($"message Deltas says what has changed of the page at 0x{gpa:x}, which has never come");
            }

            at += sizeof(ulong);
            at += PageDelta.Apply(payload.AsSpan(at), _memory.GetSpan(gpa, MigrationWire.PageBytes));
            _written.Mark(gpa, MigrationWire.PageBytes);
        }

        if (pages == 0 || at != payload.Length)
        {
            throw new MigrationException($"message Deltas describes {pages} pages in {at} bytes, and has {payload.Length}");
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

        if (Late is { } late)
        {
            ReadOnlySpan<byte> contents = _unpacker.UnpackWhole(frame, payload.Slice(bytes), pages * MigrationWire.PageBytes);
            for (int i = 0; i < (int)runs; i++)
            {
                (ulong gpa, uint count) = Run(description, i);
                int length = (int)count * MigrationWire.PageBytes;
                late.Place(gpa, contents[..length]);
                contents = contents[length..];
            }

            return;
        }

        ReadOnlySequence<byte> data = _unpacker.Unpack(frame, payload.Slice(bytes), pages * MigrationWire.PageBytes);
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
            if (Late is { } late)
            {
                late.PlaceZeros(gpa, count << DirtyBitmap.PageShift);
                continue;
            }

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
        if (Missing == 0)
        {
            return;
        }

        for (ulong i = 0; i < count; i++)
        {
            (int region, ulong page) = Find(gpa + (i << DirtyBitmap.PageShift));
            if (_covered.TryMarkPage(region, page))
            {
                Interlocked.Decrement(ref _missing.Value);
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
