using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;

namespace Cnvm.Virtio.VhostUser.Serving;

/// <summary>
/// Guest memory that a front end has shared, mapped here as any guest's: every region at the same distance from its guest-physical address.
/// </summary>
internal sealed class SharedMemory : IDisposable
{
    // The largest huge page: regions that lie in huge pages can be mapped wherever the guest has them.
    public const ulong Alignment = 1UL << 30;

    // What x86-64 gives a process, less room for itself.
    private const ulong MaxSpan = 1UL << 46;

    private readonly SharedRegion[] _regions;

    private SharedMemory(SharedRegion[] regions, GuestMemory guest)
    {
        _regions = regions;
        Guest = guest;
    }

    public GuestMemory Guest { get; }

    /// <summary>Maps regions, which stay the caller's.</summary>
    /// <param name="regions">At least one, in any order.</param>
    /// <exception cref="VhostUserException">They overlap, or are too far apart.</exception>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static SharedMemory Map(IEnumerable<SharedRegion> regions)
    {
        SharedRegion[] sorted = [.. regions.OrderBy(r => r.Gpa)];
        for (int i = 1; i < sorted.Length; i++)
        {
            if (sorted[i].Gpa < sorted[i - 1].End)
            {
                throw new VhostUserException($"memory at 0x{sorted[i].Gpa:x} is described twice");
            }
        }

        ulong start = sorted[0].Gpa & ~(Alignment - 1);
        ulong span = sorted[^1].End - start;
        if (span > MaxSpan)
        {
            throw new VhostUserException($"memory from 0x{sorted[0].Gpa:x} to 0x{sorted[^1].End:x} is too far apart to be mapped");
        }

        MappedMemory space = MappedMemory.Map(
            (nuint)(span + Alignment), Libc.PROT_NONE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0, "address space for guest memory");
        try
        {
            nint first = (nint)(((ulong)space.Address + Alignment - 1) & ~(Alignment - 1));
            nint origin = first - (nint)start;
            var mapped = new RamRegion[sorted.Length];
            for (int i = 0; i < sorted.Length; i++)
            {
                SharedRegion r = sorted[i];
                nint at = origin + (nint)r.Gpa;
                if (Libc.mmap(
                    at, (nuint)r.Size, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED | Libc.MAP_FIXED, r.File.Value, (long)r.Place.mmap_offset) != at)
                {
                    LinuxError.Throw($"mmap of guest memory at 0x{r.Gpa:x}");
                }

                mapped[i] = new RamRegion(r.Gpa, r.Size, at);
            }

            return new SharedMemory(sorted, new GuestMemory(origin, mapped, space));
        }
        catch
        {
            space.Dispose();
            throw;
        }
    }

    /// <summary>Guest-physical address of what the front end has at one of its own addresses.</summary>
    /// <exception cref="VhostUserException">No memory was shared there.</exception>
    public ulong Translate(ulong address)
    {
        foreach (SharedRegion r in _regions)
        {
            if (address >= r.Place.userspace_addr && address - r.Place.userspace_addr < r.Size)
            {
                return r.Gpa + (address - r.Place.userspace_addr);
            }
        }

        throw new VhostUserException($"a ring lies at 0x{address:x}, where no memory was shared");
    }

    public void Dispose() => Guest.Dispose();
}
