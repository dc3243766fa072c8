namespace Cnvm.Vmm.Migration;

/// <summary>
/// Contents of pages as the target has them, so that of a page that is sent again only what has changed has to be sent. Each page has one place, which
/// it shares with others; who is sent again round after round keeps it. One thread.
/// </summary>
internal sealed class PageCache : IDisposable
{
    private const int PagesPerChunk = 256;

    // A page that has not been sent for so many rounds makes room.
    private const uint StaleRounds = 2;

    private readonly ulong _places;
    private ulong[] _owners;
    private uint[] _rounds;
    private byte[]?[] _chunks;
    private uint _round = StaleRounds;

    /// <param name="bytes">Most bytes of contents; memory is taken for what is used of it.</param>
    public PageCache(ulong bytes)
    {
        _places = Math.Max(bytes / MigrationWire.PageBytes, 1);
        _owners = new ulong[_places];
        _rounds = new uint[_places];
        _chunks = new byte[]?[(_places + PagesPerChunk - 1) / PagesPerChunk];
    }

    /// <summary>Pages are sent again from here on.</summary>
    public void BeginRound() => _round++;

    /// <summary>The contents of a page, which the caller may replace; false if they are not known.</summary>
    public bool TryGet(ulong gpa, out Span<byte> contents)
    {
        ulong place = PlaceOf(gpa);
        if (!Has(gpa))
        {
            contents = default;
            return false;
        }

        _rounds[place] = _round;
        contents = At(place);
        return true;
    }

    /// <summary>Whether the contents of a page are known.</summary>
    public bool Has(ulong gpa) => _owners[PlaceOf(gpa)] == OwnerOf(gpa);

    /// <summary>A page has been sent with these contents.</summary>
    public void Put(ulong gpa, ReadOnlySpan<byte> contents)
    {
        ulong place = PlaceOf(gpa);
        if (_owners[place] != 0 && _owners[place] != OwnerOf(gpa) && _round - _rounds[place] < StaleRounds)
        {
            return;
        }

        _owners[place] = OwnerOf(gpa);
        _rounds[place] = _round;
        contents.CopyTo(At(place));
    }

    /// <summary>A page has been sent without contents.</summary>
    public void Forget(ulong gpa)
    {
        ulong place = PlaceOf(gpa);
        if (_owners[place] == OwnerOf(gpa))
        {
            _owners[place] = 0;
        }
    }

    /// <summary>Gives the memory back: a program that allocates nothing afterwards would not collect it either.</summary>
    public void Dispose()
    {
        _chunks = [];
        _owners = [];
        _rounds = [];
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
    }

    private static ulong OwnerOf(ulong gpa) => (gpa / MigrationWire.PageBytes) + 1;

    private ulong PlaceOf(ulong gpa) => gpa / MigrationWire.PageBytes % _places;

    private Span<byte> At(ulong place)
    {
        byte[] chunk = _chunks[place / PagesPerChunk] ??= new byte[(int)Math.Min(PagesPerChunk, _places) * MigrationWire.PageBytes];
        return chunk.AsSpan((int)(place % PagesPerChunk) * MigrationWire.PageBytes, MigrationWire.PageBytes);
    }
}
