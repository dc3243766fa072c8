using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Linux.Vhost;

namespace Cnvm.Virtio.VhostUser.Serving;

/// <summary>Memory of the front end in which the pages that are written here are marked ("Migration"): the other side of <see cref="VhostUserLog"/>.</summary>
internal sealed unsafe class SharedLog : IWriteMarks, IDisposable
{
    private const ulong MaxBytes = 1UL << 40;
    private const int PageShift = 12;
    private readonly MappedMemory _memory;
    private readonly ulong* _words;
    private readonly ulong _pages;

    private SharedLog(MappedMemory memory, ulong bytes)
    {
        _memory = memory;
        // SAFETY: the mapping begins at a page and lives as long as this object.
        _words = (ulong*)memory.Address;
        _pages = bytes / sizeof(ulong) * 64;
    }

    /// <param name="file">Stays the caller's, and need not stay open.</param>
    /// <exception cref="VhostUserException">It cannot be such a log.</exception>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static SharedLog Map(FileDescriptor file, ulong bytes, ulong offset)
    {
        if (!MemoryFile.IsMemory(file.Value))
        {
            throw new VhostUserException("the log of writes lies in no memory file");
        }

        if (MemoryFile.PageBytesOf(file.Value) != VhostAbi.VHOST_PAGE_SIZE)
        {
            throw new VhostUserException("the log of writes cannot lie in huge pages");
        }

        // Before it is measured: in between it could be cut off.
        _ = MemoryFile.TryKeepWhole(file.Value);
        ulong size = MemoryFile.SizeOf(file.Value);
        if (bytes is < sizeof(ulong) or > MaxBytes || bytes % sizeof(ulong) != 0 || offset % VhostAbi.VHOST_PAGE_SIZE != 0 || offset > size || bytes > size - offset)
        {
            throw new VhostUserException($"a file of 0x{size:x} bytes has no log of 0x{bytes:x} bytes at 0x{offset:x}");
        }

        return new SharedLog(
            MappedMemory.Map((nuint)bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, file.Value, (long)offset, "the log of writes"), bytes);
    }

    /// <inheritdoc/>
    public void Mark(ulong gpa, ulong length)
    {
        if (length == 0)
        {
            return;
        }

        ulong last = Math.Min((gpa + length - 1) >> PageShift, _pages - 1);
        for (ulong page = gpa >> PageShift; page <= last; page++)
        {
            // SAFETY: the page is below those that the log has bits for.
            ref ulong word = ref _words[page >> 6];
            ulong bit = 1UL << (int)(page & 63);
            if ((Volatile.Read(ref word) & bit) == 0)
            {
                Interlocked.Or(ref word, bit);
            }
        }
    }

    public void Dispose() => _memory.Dispose();
}
