using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// A target's memory while pages of it are missing. The kernel's accesses sleep in faults (userfaultfd(2)), this program's own wait at
/// <see cref="MissingPages"/>; both end in a question for the page. Pages are put in place by one thread, questions read by another.
/// </summary>
internal sealed class LatePages : IDisposable
{
    private readonly GuestMemory _memory;
    private readonly IArrivingGuest _guest;
    private readonly Userfaultfd _faults = new();
    private readonly EventFd _woken = new();
    private readonly Queue<ulong> _questions = new();
    private bool _isRegistered;

    /// <exception cref="LinuxException">The host has no userfaultfd for this program.</exception>
    public LatePages(GuestMemory memory, IArrivingGuest guest)
    {
        _memory = memory;
        _guest = guest;
        Missing = new MissingPages(memory.Regions, Ask);
    }

    public MissingPages Missing { get; }

    /// <summary>Why memory cannot come late here; null if it can.</summary>
    public static string? Obstacle(GuestMemory memory)
    {
        foreach (RamRegion region in memory.Regions)
        {
            if (!region.IsAnonymous)
            {
                string zone = region.ZoneId is { } id ? $"memory zone {id}" : "memory";
                return $"post-copy: {zone} is shared, in a file or in huge pages of the host's pool; only private memory in small pages can come late";
            }
        }

        try
        {
            Populate(memory.Regions[0].HostAddress, MigrationWire.PageBytes);
            return null;
        }
        catch (LinuxException e)
        {
            return $"post-copy: this kernel does not make memory ready as it has to (Linux 5.14 and later do): {e.Message}";
        }
    }

    /// <summary>Makes room for what is missing: from here on whoever touches it waits. Before devices and vCPUs are made.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public void Begin()
    {
        for (int i = 0; i < _memory.Regions.Count; i++)
        {
            RamRegion region = _memory.Regions[i];

            // Untouched pages that are not missing would be faults too: this program must never meet one (see MissingPages).
            for (ulong page = 0; page < region.Size >> DirtyBitmap.PageShift;)
            {
                (ulong first, ulong pages) = Missing.NextRun(i, page);
                if (first > page)
                {
                    Populate(region.HostAddress + (nint)(page << DirtyBitmap.PageShift), (first - page) << DirtyBitmap.PageShift);
                }

                page = first + pages;
            }

            _faults.Register(region.HostAddress, region.Size);
            _isRegistered = true;

            // Old contents, and zeros that a huge page brought along. Registered before, so that none is put back in between.
            for (ulong page = 0; Missing.NextRun(i, page) is { Pages: > 0 } run; page = run.First + run.Pages)
            {
                LinuxError.Check(
                    Libc.madvise(
                        region.HostAddress + (nint)(run.First << DirtyBitmap.PageShift), (nuint)(run.Pages << DirtyBitmap.PageShift), Libc.MADV_DONTNEED),
                    "madvise(MADV_DONTNEED)");
            }
        }

        _guest.Await(Missing);
    }

    /// <summary>Puts pages in their places.</summary>
    /// <param name="gpa">RAM, as far as the data reaches.</param>
    /// <param name="data">Whole pages.</param>
    /// <exception cref="MigrationException">One of them is not missing.</exception>
    public void Place(ulong gpa, ReadOnlySpan<byte> data)
    {
        ulong end = gpa + (ulong)data.Length;
        ThrowUnlessMissing(gpa, (ulong)data.Length);
        for (ulong at = gpa; at < end;)
        {
            // A run may go on in the next region, which is another mapping.
            ulong part = Math.Min(end, RegionOf(at).End) - at;
            _faults.Copy(AddressOf(at), data.Slice((int)(at - gpa), (int)part));
            at += part;
        }

        Came(gpa, (ulong)data.Length);
    }

    /// <summary>As <see cref="Place"/>, for zeros.</summary>
    /// <inheritdoc cref="Place"/>
    public void PlaceZeros(ulong gpa, ulong length)
    {
        ThrowUnlessMissing(gpa, length);
        for (ulong at = gpa; at < gpa + length;)
        {
            ulong part = Math.Min(gpa + length, RegionOf(at).End) - at;
            _faults.Zero(AddressOf(at), part);
            at += part;
        }

        Came(gpa, length);
    }

    /// <summary>Waits for questions; false after the time.</summary>
    public bool Wait(int milliseconds) => Poll.Wait(
        [new PollEntry { Fd = _faults.Fd, Events = PollEntry.In }, new PollEntry { Fd = _woken.Fd, Events = PollEntry.In }], milliseconds) > 0;

    /// <summary>Ends a <see cref="Wait"/>.</summary>
    public void Wake() => _woken.Signal();

    /// <summary>Takes the next page that somebody has begun to wait for; false if there is none.</summary>
    /// <exception cref="LinuxException">The host is short of something. Who waits is asked about again.</exception>
    public bool TryTake(out ulong gpa)
    {
        _woken.Drain();
        while (_faults.TryRead(out nint address))
        {
            ulong fault = (ulong)(address - (_memory.Regions[0].HostAddress - (nint)_memory.Regions[0].Gpa)) & ~(ulong)(MigrationWire.PageBytes - 1);
            if (!Missing.Want(fault))
            {
                // It has come meanwhile, or was given back to the host: whoever waits is woken in either case.
                ZeroOrWake(fault);
            }
        }

        lock (_questions)
        {
            return _questions.TryDequeue(out gpa);
        }
    }

    /// <summary>All pages are here: nobody waits any more.</summary>
    public void End()
    {
        _guest.Await(null);
        Unregister();
    }

    /// <summary>No page comes any more; only before the guest runs.</summary>
    public void GiveUp(string reason)
    {
        Missing.GiveUp(reason);
        Unregister();
    }

    public void Dispose()
    {
        _faults.Dispose();
        _woken.Dispose();
    }

    private static void Populate(nint address, ulong bytes) =>
        LinuxError.Check(Libc.madvise(address, (nuint)bytes, Libc.MADV_POPULATE_READ), "madvise(MADV_POPULATE_READ)");

    private void ZeroOrWake(ulong gpa)
    {
        try
        {
            _faults.Zero(AddressOf(gpa), MigrationWire.PageBytes);
        }
        catch (LinuxException e) when (e.Errno == Errno.ENOENT)
        {
            // No longer registered, which has woken everybody.
            return;
        }
        catch (LinuxException)
        {
            _faults.Wake(AddressOf(gpa));
            throw;
        }
    }

    private void Unregister()
    {
        if (!_isRegistered)
        {
            return;
        }

        _isRegistered = false;
        foreach (RamRegion region in _memory.Regions)
        {
            _faults.Unregister(region.HostAddress, region.Size);
        }
    }

    /// <summary>Any thread.</summary>
    private void Ask(ulong gpa)
    {
        lock (_questions)
        {
            _questions.Enqueue(gpa);
        }

        _woken.Signal();
    }

    private void Came(ulong gpa, ulong length)
    {
        for (ulong at = gpa; at < gpa + length; at += MigrationWire.PageBytes)
        {
            Missing.Remove(at);
        }
    }

    private void ThrowUnlessMissing(ulong gpa, ulong length)
    {
        for (ulong at = gpa; at < gpa + length; at += MigrationWire.PageBytes)
        {
            if (!Missing.Contains(at))
            {
                throw new MigrationException($"the page at 0x{at:x} comes, which is not missing");
            }
        }
    }

    private nint AddressOf(ulong gpa) => _memory.Regions[0].HostAddress + (nint)(gpa - _memory.Regions[0].Gpa);

    private RamRegion RegionOf(ulong gpa) => _memory.Regions.First(r => gpa >= r.Gpa && gpa < r.End);
}
