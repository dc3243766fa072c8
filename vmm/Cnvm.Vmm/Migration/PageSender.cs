using System.Buffers.Binary;
using System.Numerics;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Sends pages: runs of pages with their contents, compressed where both sides can and it helps, and runs of zero pages without. One
/// thread; the guest may run and write meanwhile, which its dirty log then shows.
/// </summary>
internal sealed class PageSender(FrameWriter writer, GuestMemory memory, bool compress, PageCache? cache = null)
{
    private const int DescriptionBytes = sizeof(uint) + (MigrationWire.PagesPerFrame * MigrationWire.RunBytes);

    // After contents that did not compress, so many messages at most go as they are before it is tried again.
    private const int MostUntried = 15;

    // What is compressed must not change under the compressor, as the guest's memory may.
    private readonly byte[] _data = compress ? new byte[MigrationWire.PagesPerFrame * MigrationWire.PageBytes] : [];
    private readonly byte[] _runs = new byte[DescriptionBytes];
    private readonly byte[] _zeros = new byte[MigrationWire.ZeroRunsPerFrame * MigrationWire.ZeroRunBytes];

    // A page as it is compared, encoded and kept: the guest may write on meanwhile.
    private readonly byte[] _page = cache is null ? [] : new byte[MigrationWire.PageBytes];
    private readonly byte[] _delta = cache is null ? [] : new byte[PageDelta.MostBytes];
    private readonly byte[] _deltas = cache is null ? [] : new byte[MigrationWire.DeltaBytesPerFrame];
    private int _deltaCount;
    private int _deltaBytes = sizeof(uint);
    private int _pages;
    private int _runCount;
    private ulong _runEnd;
    private int _zeroCount;
    private ulong _zeroEnd;
    private int _untried;
    private int _tryAfter;

    /// <summary>Pages sent with their contents so far.</summary>
    public long DataPages { get; private set; }

    /// <summary>Pages sent as zeros so far.</summary>
    public long ZeroPages { get; private set; }

    /// <summary>Pages of which only what had changed was sent.</summary>
    public long DeltaPages { get; private set; }

    /// <summary>Bytes of what had changed of them.</summary>
    public long DeltaBytes { get; private set; }

    /// <summary>Bytes of the contents of <see cref="DataPages"/> as they went, perhaps compressed.</summary>
    public long PackedBytes { get; private set; }

    /// <summary>Pages whose contents of before were known, whether only what had changed was sent of them or all.</summary>
    public long KnownPages { get; private set; }

    /// <summary>Those of them that had changed too much.</summary>
    public long KnownWholePages { get; private set; }

    /// <summary>Bytes that did not have to be sent for that, against whole pages that are not compressed.</summary>
    public long DeltaSavedBytes { get; private set; }

    /// <summary>Sends the pages of a bitmap and takes them out of it.</summary>
    /// <param name="pages">Of the regions of the machine's memory.</param>
    /// <param name="goesOn">Asked after every message; false leaves the rest in the bitmap.</param>
    public void Send(DirtyBitmap pages, Func<bool> goesOn) => Send(new PageStretches(pages), goesOn);

    /// <summary>Sends what of the pages nobody else sends.</summary>
    /// <param name="goesOn">Asked after every message and every stretch: zero pages send nothing for a long time.</param>
    public void Send(PageStretches stretches, Func<bool> goesOn)
    {
        bool wanted = true;
        while (wanted && stretches.TryTake(out int region, out int first, out int end))
        {
            ReadOnlySpan<ulong> words = stretches.Pages.Words(region);
            for (int w = first; wanted && w < end; w++)
            {
                if (words[w] != 0)
                {
                    wanted = SendWord(stretches.Pages, region, w, stretches.Pages.TakeWord(region, w), goesOn);
                }
            }

            wanted = wanted && goesOn();
        }

        FlushDeltas();
        FlushData();
        FlushZeros();
    }

    /// <summary>Sends a page, and those of its block of <see cref="MigrationWire.PagesPerBlock"/>, as far as they are in a bitmap.</summary>
    /// <param name="gpa">In RAM.</param>
    public void SendBlock(DirtyBitmap pages, ulong gpa)
    {
        for (int i = 0; i < pages.Regions.Count; i++)
        {
            RamRegion ram = pages.Regions[i];
            if (gpa < ram.Gpa || gpa >= ram.End)
            {
                continue;
            }

            ulong page = (gpa - ram.Gpa) >> DirtyBitmap.PageShift;
            ulong block = ((1UL << MigrationWire.PagesPerBlock) - 1) << (int)(page & 63 & ~(ulong)(MigrationWire.PagesPerBlock - 1));
            int word = (int)(page >> 6);
            ulong taken = pages.TakeWord(i, word);
            for (ulong rest = taken & ~block; rest != 0; rest &= rest - 1)
            {
                pages.MarkPage(i, ((ulong)word * 64) + (ulong)BitOperations.TrailingZeroCount(rest));
            }

            _ = SendWord(pages, i, word, taken & block, static () => true);
            FlushData();
            FlushZeros();
            return;
        }
    }

    private bool SendWord(DirtyBitmap pages, int region, int word, ulong bits, Func<bool> goesOn)
    {
        RamRegion ram = pages.Regions[region];
        for (; bits != 0; bits &= bits - 1)
        {
            ulong page = ((ulong)word * 64) + (ulong)BitOperations.TrailingZeroCount(bits);
            ulong gpa = ram.Gpa + (page << DirtyBitmap.PageShift);
            if (gpa >= ram.End)
            {
                break;
            }

            if (Add(gpa) && !goesOn())
            {
                // What of this word has not been added goes back.
                for (ulong rest = bits & (bits - 1); rest != 0; rest &= rest - 1)
                {
                    pages.MarkPage(region, ((ulong)word * 64) + (ulong)BitOperations.TrailingZeroCount(rest));
                }

                return false;
            }
        }

        return true;
    }

    /// <summary>Adds a page; true if a message went.</summary>
    private bool Add(ulong gpa)
    {
        Span<byte> contents = memory.GetSpan(gpa, MigrationWire.PageBytes);
        if (!contents.ContainsAnyExcept((byte)0))
        {
            cache?.Forget(gpa);
            return AddZero(gpa);
        }

        if (cache is not null && TryAddDelta(cache, gpa, contents, out bool hasGone))
        {
            return hasGone;
        }

        _pages++;
        DataPages++;
        if (_runCount > 0 && _runEnd == gpa)
        {
            Span<byte> count = _runs.AsSpan(sizeof(uint) + ((_runCount - 1) * MigrationWire.RunBytes) + sizeof(ulong));
            BinaryPrimitives.WriteUInt32LittleEndian(count, BinaryPrimitives.ReadUInt32LittleEndian(count) + 1);
        }
        else
        {
            Span<byte> run = _runs.AsSpan(sizeof(uint) + (_runCount++ * MigrationWire.RunBytes));
            BinaryPrimitives.WriteUInt64LittleEndian(run, gpa);
            BinaryPrimitives.WriteUInt32LittleEndian(run[sizeof(ulong)..], 1);
        }

        _runEnd = gpa + MigrationWire.PageBytes;
        if (_pages < MigrationWire.PagesPerFrame)
        {
            return false;
        }

        FlushData();
        return true;
    }

    /// <summary>Adds what has changed of a page since it was sent; false if that is not known, or too much.</summary>
    /// <param name="hasGone">A message went.</param>
    private bool TryAddDelta(PageCache known, ulong gpa, ReadOnlySpan<byte> contents, out bool hasGone)
    {
        hasGone = false;
        if (!known.TryGet(gpa, out Span<byte> before))
        {
            return false;
        }

        contents.CopyTo(_page);
        int bytes = PageDelta.TryWrite(before, _page, _delta);
        KnownPages++;
        if (bytes == 0)
        {
            KnownWholePages++;
            return false;
        }

        DeltaPages++;
        DeltaSavedBytes += MigrationWire.PageBytes + MigrationWire.RunBytes;
        if (bytes == PageDelta.EmptyBytes)
        {
            return true;
        }

        if (_deltaBytes + sizeof(ulong) + bytes > _deltas.Length)
        {
            FlushDeltas();
            hasGone = true;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(_deltas.AsSpan(_deltaBytes), gpa);
        _delta.AsSpan(0, bytes).CopyTo(_deltas.AsSpan(_deltaBytes + sizeof(ulong)));
        _deltaBytes += sizeof(ulong) + bytes;
        _deltaCount++;
        DeltaSavedBytes -= sizeof(ulong) + bytes;
        DeltaBytes += sizeof(ulong) + bytes;
        _page.CopyTo(before);
        return true;
    }

    private void FlushDeltas()
    {
        if (_deltaCount > 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_deltas, (uint)_deltaCount);
            writer.Write(FrameType.Deltas, _deltas.AsSpan(0, _deltaBytes));
            _deltaCount = 0;
            _deltaBytes = sizeof(uint);
        }
    }

    private bool AddZero(ulong gpa)
    {
        ZeroPages++;
        if (_zeroCount > 0 && _zeroEnd == gpa)
        {
            Span<byte> count = _zeros.AsSpan(((_zeroCount - 1) * MigrationWire.ZeroRunBytes) + sizeof(ulong));
            BinaryPrimitives.WriteUInt64LittleEndian(count, BinaryPrimitives.ReadUInt64LittleEndian(count) + 1);
        }
        else
        {
            Span<byte> run = _zeros.AsSpan(_zeroCount++ * MigrationWire.ZeroRunBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(run, gpa);
            BinaryPrimitives.WriteUInt64LittleEndian(run[sizeof(ulong)..], 1);
        }

        _zeroEnd = gpa + MigrationWire.PageBytes;
        if (_zeroCount < MigrationWire.ZeroRunsPerFrame)
        {
            return false;
        }

        // The last run of a full message cannot grow any more; it costs nothing.
        FlushZeros();
        return true;
    }

    private void FlushData()
    {
        if (_pages == 0)
        {
            return;
        }

        int description = sizeof(uint) + (_runCount * MigrationWire.RunBytes);
        int length = _pages * MigrationWire.PageBytes;
        BinaryPrimitives.WriteUInt32LittleEndian(_runs, (uint)_runCount);
        Span<byte> payload = writer.Begin(description + length);
        _runs.AsSpan(0, description).CopyTo(payload);
        int packed = compress && _tryAfter-- <= 0 ? Pack(payload.Slice(description, length)) : 0;
        if (packed == 0)
        {
            Gather(payload.Slice(description, length));
        }

        PackedBytes += packed == 0 ? length : packed;
        Keep(packed == 0 ? payload.Slice(description, length) : _data.AsSpan(0, length));
        writer.End(FrameType.Pages, description + (packed == 0 ? length : packed), packed == 0 ? (ushort)0 : MigrationWire.FlagLz4);
        _pages = 0;
        _runCount = 0;
    }

    /// <summary>Compresses what is waiting; 0 if that saves too little.</summary>
    private int Pack(Span<byte> into)
    {
        Span<byte> data = _data.AsSpan(0, into.Length);
        Gather(data);
        int packed = ContentPacking.TryPack(data, into);
        _untried = packed > 0 ? 0 : Math.Min((_untried * 2) + 1, MostUntried);
        _tryAfter = _untried;
        return packed;
    }

    /// <summary>Copies the pages that are waiting. What the guest has written since they were added comes along, and once more with its log.</summary>
    private void Gather(Span<byte> into)
    {
        for (int i = 0, at = 0; i < _runCount; i++)
        {
            ReadOnlySpan<byte> run = _runs.AsSpan(sizeof(uint) + (i * MigrationWire.RunBytes), MigrationWire.RunBytes);
            int length = (int)BinaryPrimitives.ReadUInt32LittleEndian(run[sizeof(ulong)..]) * MigrationWire.PageBytes;
            memory.GetSpan(BinaryPrimitives.ReadUInt64LittleEndian(run), length).CopyTo(into[at..]);
            at += length;
        }
    }

    /// <summary>Keeps the pages that are waiting as they go.</summary>
    private void Keep(ReadOnlySpan<byte> contents)
    {
        for (int i = 0; cache is not null && i < _runCount; i++)
        {
            ReadOnlySpan<byte> run = _runs.AsSpan(sizeof(uint) + (i * MigrationWire.RunBytes), MigrationWire.RunBytes);
            ulong gpa = BinaryPrimitives.ReadUInt64LittleEndian(run);
            for (uint pages = BinaryPrimitives.ReadUInt32LittleEndian(run[sizeof(ulong)..]); pages > 0; pages--)
            {
                cache.Put(gpa, contents[..MigrationWire.PageBytes]);
                gpa += MigrationWire.PageBytes;
                contents = contents[MigrationWire.PageBytes..];
            }
        }
    }

    private void FlushZeros()
    {
        if (_zeroCount > 0)
        {
            writer.Write(FrameType.Zeros, _zeros.AsSpan(0, _zeroCount * MigrationWire.ZeroRunBytes));
            _zeroCount = 0;
        }
    }
}
