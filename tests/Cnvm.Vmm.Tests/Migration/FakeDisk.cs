using Cnvm.Virtio.Block;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A disk in memory whose blocks of zeros are holes, and which records what a test's guest writes.</summary>
internal sealed class FakeDisk : IDepartingDisk
{
    private readonly DirtyBlocks _changes;

    public FakeDisk(string id, int size)
    {
        Contents = new byte[size];
        _changes = new DirtyBlocks((ulong)size);
        Offer = new DiskOffer(id, (ulong)size, 0, 512);
    }

    public byte[] Contents { get; }

    public DiskOffer Offer { get; init; }

    public uint MemoryAlignment => 1;

    public bool IsTracking { get; private set; }

    /// <summary>What reading fails with.</summary>
    public MigrationException? ReadFailure { get; set; }

    /// <summary>Called after each read, when the guest may write.</summary>
    public Action<ulong> OnRead { get; set; } = static _ => { };

    /// <summary>What a guest's write does.</summary>
    public void Write(int offset, ReadOnlySpan<byte> data)
    {
        data.CopyTo(Contents.AsSpan(offset));
        _changes.Mark((ulong)offset, (ulong)data.Length);
    }

    public void StartTracking() => IsTracking = true;

    public void Collect(DirtyBlocks into)
    {
        Assert.True(IsTracking);
        into.TakeFrom(_changes);
    }

    public void StopTracking() => IsTracking = false;

    public bool TryFindData(ulong offset, ulong end, out ulong start, out ulong length)
    {
        const ulong Page = 4096;
        start = offset;
        while (start < end && IsZero(start, Math.Min(start + Page, end)))
        {
            start += Page;
        }

        length = 0;
        while (start + length < end && !IsZero(start + length, Math.Min(start + length + Page, end)))
        {
            length = Math.Min(length + Page, end - start);
        }

        return length > 0;
    }

    public void Read(ulong offset, Span<byte> buffer)
    {
        if (ReadFailure is { } failure)
        {
            throw failure;
        }

        Contents.AsSpan((int)offset, buffer.Length).CopyTo(buffer);
        OnRead(offset);
    }

    private bool IsZero(ulong start, ulong end) => !Contents.AsSpan((int)start, (int)(end - start)).ContainsAnyExcept((byte)0);
}
