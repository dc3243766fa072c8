using System.Numerics;
using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio.Block;

namespace Cnvm.Vmm.Migration;

/// <summary>What a machine that leaves has to send still, memory and disks, and what has gone. One thread.</summary>
internal sealed class DepartingContents
{
    private readonly IDepartingGuest _guest;
    private readonly PageSender _pageSender;
    private readonly PageCache? _cache;
    private readonly DepartingChannels _channels;
    private readonly DiskSender? _diskSender;
    private readonly DirtyBitmap _pages;
    private readonly DirtyBlocks[] _blocks;

    // What has gone of deltas, and what a page that is remembered took in the last round, in bytes of contents that would have taken as long.
    private double _deltaWorth;
    private double _rememberedPageWorth = MigrationWire.PageBytes;

    /// <summary>At first everything is to be sent.</summary>
    /// <param name="channels">Connections that pages go through besides the first one.</param>
    /// <param name="cache">What has been sent, with one connection; null: pages go as a whole.</param>
    public DepartingContents(IDepartingGuest guest, FrameWriter writer, DepartingChannels channels, bool compress, PageCache? cache)
    {
        _guest = guest;
        _channels = channels;
        _cache = cache;
        _pageSender = new PageSender(writer, guest.Memory, compress, cache);
        _pages = new DirtyBitmap(guest.Memory.Regions);
        foreach (RamRegion region in guest.Memory.Regions)
        {
            _pages.Mark(region.Gpa, region.Size);
        }

        _diskSender = guest.Disks.Count > 0 ? new DiskSender(writer, compress) : null;
        _blocks = [.. guest.Disks.Select(d => new DirtyBlocks(d.Offer.Size))];
        foreach (DirtyBlocks blocks in _blocks)
        {
            blocks.Mark(0, blocks.Size);
        }
    }

    /// <summary>Pages that are marked.</summary>
    public DirtyBitmap Pages => _pages;

    public ulong DataPages => (ulong)(_pageSender.DataPages + _channels.DataPages);

    public ulong ZeroPages => (ulong)(_pageSender.ZeroPages + _channels.ZeroPages);

    /// <inheritdoc cref="PageSender.DeltaPages"/>
    public ulong DeltaPages => (ulong)_pageSender.DeltaPages;

    /// <inheritdoc cref="PageSender.DeltaSavedBytes"/>
    public ulong DeltaSavedBytes => (ulong)_pageSender.DeltaSavedBytes;

    public ulong DiskDataBytes => _diskSender?.DataBytes ?? 0;

    public ulong DiskZeroBytes => _diskSender?.ZeroBytes ?? 0;

    /// <summary>Contents sent so far; deltas count as contents that would have taken as long.</summary>
    public ulong SentBytes => (DataPages * MigrationWire.PageBytes) + (ulong)_deltaWorth + DiskDataBytes;

    /// <summary>Marked, and so to be sent.</summary>
    public ulong LeftBytes => ((ulong)_pages.CountPages() * MigrationWire.PageBytes) + LeftDiskBytes;

    /// <summary>
    /// What is marked takes as long as so many bytes of contents, if of each page that is remembered as much goes as in the last round.
    /// </summary>
    public ulong ExpectedBytes
    {
        get
        {
            ulong remembered = CountRemembered();
            return LeftBytes - (remembered * MigrationWire.PageBytes) + (ulong)(remembered * _rememberedPageWorth);
        }
    }

    /// <summary>What of that is of disks.</summary>
    public ulong LeftDiskBytes
    {
        get
        {
            ulong left = 0;
            foreach (DirtyBlocks blocks in _blocks)
            {
                left += blocks.MarkedBytes;
            }

            return left;
        }
    }

    /// <summary>Marks what has been written since the last time.</summary>
    public void Collect()
    {
        _guest.Collect(_pages);
        for (int i = 0; i < _blocks.Length; i++)
        {
            _guest.Disks[i].Collect(_blocks[i]);
        }
    }

    /// <summary>Sends what is marked, disks first: a guest writes its memory faster than its disks, so that it should wait less.</summary>
    /// <param name="goesOn">Asked after every message; false leaves the rest marked.</param>
    public void Send(Func<bool> goesOn)
    {
        _cache?.BeginRound();
        if (SendDisks(goesOn))
        {
            (long known, long whole, long deltas) = (_pageSender.KnownPages, _pageSender.KnownWholePages, _pageSender.DeltaBytes);
            _channels.Send(_pageSender, _pages, goesOn);
            NoteDeltas(_pageSender.KnownPages - known, _pageSender.KnownWholePages - whole, _pageSender.DeltaBytes - deltas);
        }
    }

    /// <summary>Sends what is marked of disks; false if <paramref name="goesOn"/> ended it.</summary>
    public bool SendDisks(Func<bool> goesOn)
    {
        bool wanted = true;
        for (int i = 0; wanted && i < _blocks.Length; i++)
        {
            _diskSender!.Send(i, _guest.Disks[i], _blocks[i], () => wanted = goesOn());
        }

        return wanted;
    }

    /// <summary>Of a round: how many pages were known, how many of them went as a whole, and how many bytes of deltas for the others.</summary>
    private void NoteDeltas(long known, long whole, long bytes)
    {
        if (known > 0)
        {
            // Contents may have been compressed, deltas never are.
            double worth = _pageSender.PackedBytes == 0 ? bytes : bytes * (_pageSender.DataPages * (double)MigrationWire.PageBytes / _pageSender.PackedBytes);
            _deltaWorth += worth;
            _rememberedPageWorth = ((whole * (double)MigrationWire.PageBytes) + worth) / known;
        }
    }

    private ulong CountRemembered()
    {
        ulong remembered = 0;
        for (int i = 0; _cache is not null && i < _pages.Regions.Count; i++)
        {
            ReadOnlySpan<ulong> words = _pages.Words(i);
            for (int w = 0; w < words.Length; w++)
            {
                for (ulong bits = words[w]; bits != 0; bits &= bits - 1)
                {
                    ulong page = ((ulong)w * 64) + (ulong)BitOperations.TrailingZeroCount(bits);
                    remembered += _cache.Has(_pages.Regions[i].Gpa + (page << DirtyBitmap.PageShift)) ? 1UL : 0;
                }
            }
        }

        return remembered;
    }
}
