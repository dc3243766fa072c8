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

    /// <summary>Sent with contents so far, or with what had changed of them.</summary>
    public ulong SentBytes => ((DataPages + DeltaPages) * MigrationWire.PageBytes) + DiskDataBytes;

    /// <summary>Marked, and so to be sent.</summary>
    public ulong LeftBytes => ((ulong)_pages.CountPages() * MigrationWire.PageBytes) + LeftDiskBytes;

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
            _channels.Send(_pageSender, _pages, goesOn);
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
}
