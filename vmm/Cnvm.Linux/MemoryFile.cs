namespace Cnvm.Linux;

/// <summary>Memory that processes can hand to each other (memfd_create(2)). Its size never changes, so that whoever maps it can rely on it.</summary>
public static class MemoryFile
{
    private const int FixedSize = Libc.F_SEAL_SEAL | Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW;
    private const int ReadOnly = Libc.F_SEAL_WRITE | Libc.F_SEAL_FUTURE_WRITE;

    /// <summary>Makes a file of zeros.</summary>
    /// <param name="name">For people, in /proc.</param>
    /// <param name="size">Bytes; a multiple of the page size.</param>
    /// <param name="flags">MFD_HUGETLB and the size of pages, or 0.</param>
    /// <exception cref="LinuxException">The host has not so much.</exception>
    public static FileDescriptor Create(string name, ulong size, uint flags = 0)
    {
        var fd = new FileDescriptor(LinuxError.Check(Libc.memfd_create(name, Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING | flags), "memfd_create"));
        try
        {
            LinuxError.Check(Libc.ftruncate(fd.Value, (long)size), "ftruncate");
            LinuxError.Check(Libc.fcntl(fd.Value, Libc.F_ADD_SEALS, FixedSize), "fcntl");
            return fd;
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>Whether nobody can cut anything off the file, or make it longer.</summary>
    public static bool HasFixedSize(int fd) =>
        Libc.fcntl(fd, Libc.F_GET_SEALS, 0) is >= 0 and var seals && (seals & FixedSize) == FixedSize;

    /// <summary>Whether it is memory, which takes no one else to close or to read.</summary>
    public static bool IsMemory(int fd) => Libc.fcntl(fd, Libc.F_GET_SEALS, 0) >= 0;

    /// <summary>
    /// Whether nothing can be cut off memory that another process has handed over, also because this call forbids it; whoever can do so
    /// later ends this process at its next access (SIGBUS).
    /// </summary>
    public static bool TryKeepWhole(int fd) =>
        (Libc.fcntl(fd, Libc.F_GET_SEALS, 0) is >= 0 and var seals && (seals & Libc.F_SEAL_SHRINK) != 0)
        || Libc.fcntl(fd, Libc.F_ADD_SEALS, Libc.F_SEAL_SHRINK) == 0;

    /// <summary>Bytes of a page of a memory file (<see cref="IsMemory"/>): mappings of it have whole ones.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static unsafe ulong PageBytesOf(int fd)
    {
        statfs status;
        // SAFETY: the kernel fills one local.
        int error = FileCalls.FileSystemStatus(fd, &status);
        return error < 0 ? throw new LinuxException("fstatfs of memory that was handed over", -error)
            : status.f_type == FileCalls.HUGETLBFS_MAGIC ? (ulong)status.f_bsize
            : (ulong)Environment.SystemPageSize;
    }

    /// <summary>Bytes of a memory file (<see cref="IsMemory"/>).</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static ulong SizeOf(int fd) => FileStatus.Of(fd, "memory that was handed over").Size;

    /// <summary>Whether memory that another process has handed over can be used; null if it can.</summary>
    /// <param name="size">Bytes that it must have.</param>
    /// <param name="hugePage">Size of the huge pages that it must be of, in bytes; 0 for any memory.</param>
    public static string? Obstacle(FileDescriptor fd, ulong size, ulong hugePage)
    {
        ArgumentNullException.ThrowIfNull(fd);
        int seals = Libc.fcntl(fd.Value, Libc.F_GET_SEALS, 0);
        if (seals < 0)
        {
            return "it is no memory file";
        }

        // A page that is cut off later would end this process with SIGBUS.
        if ((seals & FixedSize) != FixedSize)
        {
            return "its size may change";
        }

        if ((seals & ReadOnly) != 0)
        {
            return "it cannot be written";
        }

        var status = FileStatus.Of(fd.Value, "memory that was handed over");
        return status.Size != size ? $"it has {status.Size} bytes instead of {size}"
            : PageObstacle(status, hugePage);
    }

    /// <summary>
    /// Whether a file with a name that another process has handed over can be used as memory; null if it can. Such a file cannot be kept from
    /// shrinking, no more than where it was opened by its name.
    /// </summary>
    /// <param name="end">Bytes that it must have at least.</param>
    /// <param name="hugePage"><inheritdoc cref="Obstacle" path="/param[@name='hugePage']"/></param>
    public static string? NamedObstacle(FileDescriptor fd, ulong end, ulong hugePage)
    {
        ArgumentNullException.ThrowIfNull(fd);
        var status = FileStatus.Of(fd.Value, "memory that was handed over");
        return !status.IsRegularFile ? "it is no file"
            : (LinuxError.Check(Libc.fcntl(fd.Value, Libc.F_GETFL, 0), "fcntl") & FileCalls.O_ACCMODE) != Libc.O_RDWR ? "it cannot be written"
            : status.Size < end ? $"it has {status.Size} bytes instead of {end}"
            : PageObstacle(status, hugePage);
    }

    private static string? PageObstacle(FileStatus status, ulong hugePage) =>
        hugePage != 0 && status.BlockSize != hugePage ? $"its pages have {status.BlockSize} bytes instead of {hugePage}" : null;
}
