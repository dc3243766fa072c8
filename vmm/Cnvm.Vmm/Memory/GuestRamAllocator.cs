using System.Globalization;
using System.Numerics;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Memory;

/// <summary>
/// Allocates guest RAM. One stretch of address space is reserved for the whole guest and each piece is mapped into it at its
/// guest-physical address, so that translating an address is one addition.
/// </summary>
/// <remarks>
/// Plain RAM is private anonymous memory, which the host can merge and back with transparent huge pages; shared RAM is a
/// memory file that other processes (vhost-user, a new VMM) can map.
/// </remarks>
public static class GuestRamAllocator
{
    private const ulong SmallPage = 4096;

    /// <param name="pieces">RAM in ascending order of address, not overlapping.</param>
    /// <param name="prefaults">Takes what is to be prefaulted from the host, which can take long; otherwise <see cref="Prefault"/> is to follow.</param>
    /// <exception cref="GuestRamException">The host cannot give the memory; nothing stays allocated.</exception>
    public static GuestMemory Allocate(IReadOnlyList<RamPiece> pieces, bool prefaults = true) => Allocate(pieces, prefaults, 0, out _);

    /// <param name="end">Guest-physical address up to which <see cref="Extend"/> may add memory; it costs address space of this process only.</param>
    /// <param name="space">The place of the memory, which owns it.</param>
    /// <inheritdoc cref="Allocate(IReadOnlyList{RamPiece}, bool)"/>
    internal static GuestMemory Allocate(IReadOnlyList<RamPiece> pieces, bool prefaults, ulong end, out GuestAddressSpace space)
    {
        ArgumentNullException.ThrowIfNull(pieces);
        ArgumentOutOfRangeException.ThrowIfZero(pieces.Count);
        end = Math.Max(end, pieces[^1].Gpa + pieces[^1].Size);
        ulong alignment = pieces.Max(PageSize);
        GuestAddressSpace owner = space = new GuestAddressSpace(end, Math.Max(alignment, 2UL << 20));
        try
        {
            var regions = new List<RamRegion>(pieces.Count);
            foreach (RamPiece piece in pieces)
            {
                RamRegion region = Map(owner, piece);
                regions.Add(region);
                if (piece.Prefault && prefaults)
                {
                    Prefault(region, 0, piece.Size);
                }
            }

            return new GuestMemory(owner.Origin, regions, owner);
        }
        catch
        {
            owner.Dispose();
            throw;
        }
    }

    /// <summary>Maps one more piece into the place that was reserved for it. Nobody knows of it before it is added to the memory.</summary>
    /// <exception cref="GuestRamException">The host cannot give it; nothing has changed.</exception>
    internal static RamRegion Extend(GuestAddressSpace space, RamPiece piece)
    {
        if (!space.Contains(piece.Gpa, piece.Size))
        {
            throw new GuestRamException($"{Name(piece)}: no address space is reserved for {piece.Size >> 20} MiB at 0x{piece.Gpa:x}");
        }

        RamRegion region = Map(space, piece);
        try
        {
            if (piece.Prefault)
            {
                Prefault(region, 0, piece.Size);
            }

            return region;
        }
        catch
        {
            space.Vacate(piece.Gpa, piece.Size);
            throw;
        }
    }

    /// <summary>Takes a part of a region from the host now. What is in it stays. Any thread, while the memory is mapped.</summary>
    /// <exception cref="GuestRamException">The host cannot give it.</exception>
    public static void Prefault(RamRegion region, ulong offset, ulong length)
    {
        ArgumentNullException.ThrowIfNull(region);
        if (Libc.madvise(region.HostAddress + (nint)offset, (nuint)length, Libc.MADV_POPULATE_WRITE) != 0)
        {
            string zone = region.ZoneId is { } id ? $"memory zone {id}" : "memory";
            string why = new LinuxException("madvise", LinuxError.Last).Message;
            throw new GuestRamException($"{zone}: the host cannot give {region.Size >> 20} MiB at once: {why}; ask for less memory, or leave out prefault=on");
        }
    }

    private static RamRegion Map(GuestAddressSpace space, RamPiece piece)
    {
        ulong page = PageSize(piece);
        if (piece.Size == 0 || piece.Size % page != 0 || piece.Gpa % page != 0)
        {
            throw new GuestRamException($"{Name(piece)}: size {piece.Size} and address 0x{piece.Gpa:x} must be multiples of its page size, {page}");
        }

        int fd = OpenBacking(space, piece);
        nint address = space.Origin + (nint)piece.Gpa;
        int flags = Libc.MAP_FIXED | (piece.Shared ? Libc.MAP_SHARED : Libc.MAP_PRIVATE);
        flags |= fd < 0 ? Libc.MAP_ANONYMOUS : 0;
        // Huge pages are always reserved: a pool that runs dry later would kill the VMM with SIGBUS.
        flags |= piece.Reserve || piece.HugePages ? 0 : Libc.MAP_NORESERVE;
        if (piece.HugePages && fd < 0)
        {
            flags |= Libc.MAP_HUGETLB | HugeSizeBits(piece);
        }

        ulong offset = piece.Image is null ? piece.FileOffset : piece.ImageOffset;
        nint mapped = Libc.mmap(address, (nuint)piece.Size, Libc.PROT_READ | Libc.PROT_WRITE, flags, fd, (long)offset);
        if (mapped == -1)
        {
            ThrowMap(piece, LinuxError.Last);
        }

        Advise(piece, address);

        // A private image is not what the guest's memory holds: nobody else can map it.
        return new RamRegion(piece.Gpa, piece.Size, address)
        {
            BackingFd = piece.Image is null ? fd : -1,
            BackingOffset = (long)piece.FileOffset,
            IsAnonymous = fd < 0 && !piece.HugePages,
            Release = piece.Shared ? RamRelease.PunchHole : fd >= 0 ? RamRelease.Replace : RamRelease.Drop,
            ZoneId = piece.ZoneId,
        };
    }

    /// <summary>The descriptor behind a piece, owned by <paramref name="space"/>; -1 for anonymous memory.</summary>
    private static int OpenBacking(GuestAddressSpace space, RamPiece piece)
    {
        if (piece.Image is { } image)
        {
            return OpenImage(space, piece, image);
        }

        if (piece.Handed is { } handed)
        {
            space.Own(handed);
            ulong hugePage = piece.HugePages ? PageSize(piece) : 0;
            return TakeObstacle(handed, piece, hugePage) is { } obstacle
                ? throw new GuestRamException($"{Name(piece)}: what was handed over is not the guest's memory: {obstacle}")
                : handed.Value;
        }

        if (piece.File is { } path)
        {
            try
            {
                SafeFileHandle file = OpenFile(path);
                space.Own(file);
                if (RandomAccess.GetLength(file) < (long)(piece.FileOffset + piece.Size))
                {
                    RandomAccess.SetLength(file, (long)(piece.FileOffset + piece.Size));
                }

                return (int)file.DangerousGetHandle();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new GuestRamException($"{Name(piece)}: cannot use {path} as memory: {e.Message}", e);
            }
        }

        if (!piece.Shared)
        {
            return -1;
        }

        try
        {
            FileDescriptor fd = MemoryFile.Create(
                piece.ZoneId ?? "cnvm-ram", piece.Size, piece.HugePages ? Libc.MFD_HUGETLB | (uint)HugeSizeBits(piece) : 0);
            space.Own(fd);
            return fd.Value;
        }
        catch (LinuxException e)
        {
            ThrowMap(piece, e.Errno);
            throw;
        }
    }

    private static string? TakeObstacle(FileDescriptor handed, RamPiece piece, ulong hugePage) =>
        !piece.Shared ? "only memory that processes share is handed over"
        : piece.File is null ? MemoryFile.Obstacle(handed, piece.Size, hugePage)
        : MemoryFile.NamedObstacle(handed, piece.FileOffset + piece.Size, hugePage);

    private static int OpenImage(GuestAddressSpace space, RamPiece piece, string path)
    {
        if (piece.File is not null || piece.Shared || piece.HugePages)
        {
            throw new GuestRamException($"{Name(piece)}: only private memory of small pages can be loaded on demand");
        }

        try
        {
            SafeFileHandle file = RegularFile.OpenRead(path);
            space.Own(file);

            // An access beyond the end of the file would end this process with SIGBUS.
            return RandomAccess.GetLength(file) >= (long)(piece.ImageOffset + piece.Size)
                ? (int)file.DangerousGetHandle()
                : throw new GuestRamException($"{Name(piece)}: {path} is too short: {RandomAccess.GetLength(file)} bytes");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new GuestRamException($"{Name(piece)}: cannot read {path}: {e.Message}", e);
        }
    }

    /// <summary>Opens the file, or an unnamed one when the path is a folder (a mounted hugetlbfs or tmpfs).</summary>
    private static SafeFileHandle OpenFile(string path)
    {
        if (!Directory.Exists(path))
        {
            return File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);
        }

        string unnamed = Path.Combine(path, $".cnvm-{Guid.NewGuid():n}");
        SafeFileHandle file = File.OpenHandle(unnamed, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite);
        File.Delete(unnamed);
        return file;
    }

    private static void Advise(RamPiece piece, nint address)
    {
        // Advice may be refused by a kernel without the feature; the guest runs the same without it.
        _ = Libc.madvise(address, (nuint)piece.Size, Libc.MADV_DONTDUMP);
        if (!piece.HugePages)
        {
            _ = Libc.madvise(address, (nuint)piece.Size, piece.TransparentHugePages ? Libc.MADV_HUGEPAGE : Libc.MADV_NOHUGEPAGE);
        }

        if (piece.Mergeable && Libc.madvise(address, (nuint)piece.Size, Libc.MADV_MERGEABLE) != 0)
        {
            throw new GuestRamException($"{Name(piece)}: mergeable=on, but this host's kernel has no same-page merging (CONFIG_KSM)");
        }
    }

    private static int HugeSizeBits(RamPiece piece) =>
        piece.HugePageSize == 0 ? 0 : BitOperations.Log2(piece.HugePageSize) << Libc.MAP_HUGE_SHIFT;

    private static ulong PageSize(RamPiece piece) =>
        !piece.HugePages ? SmallPage : piece.HugePageSize != 0 ? piece.HugePageSize : DefaultHugePageSize();

    /// <summary>The host's default huge page size, from <c>/proc/meminfo</c>.</summary>
    private static ulong DefaultHugePageSize()
    {
        const string Key = "Hugepagesize:";
        foreach (string line in File.ReadLines("/proc/meminfo"))
        {
            if (line.StartsWith(Key, StringComparison.Ordinal))
            {
                return ulong.Parse(line.AsSpan(Key.Length).Trim().ToString().Split(' ')[0], CultureInfo.InvariantCulture) * 1024;
            }
        }

        throw new GuestRamException("hugepages=on, but this host's kernel has no huge pages (no Hugepagesize in /proc/meminfo)");
    }

    private static string Name(RamPiece piece) => piece.ZoneId is { } id ? $"memory zone {id}" : "memory";

    private static void ThrowMap(RamPiece piece, int errno)
    {
        string mib = (piece.Size >> 20).ToString(CultureInfo.InvariantCulture);
        string why = new LinuxException("mmap", errno).Message;
        string advice = piece.HugePages
            ? $"; it needs {piece.Size / PageSize(piece)} free huge pages of {PageSize(piece) >> 10} KiB (see HugePages_Free in /proc/meminfo and /proc/sys/vm/nr_hugepages)"
            : errno == Errno.ENOMEM ? "; ask for less memory, or leave out reserve=on and prefault=on" : "";
        throw new GuestRamException($"{Name(piece)}: the host cannot give {mib} MiB: {why}{advice}");
    }
}
