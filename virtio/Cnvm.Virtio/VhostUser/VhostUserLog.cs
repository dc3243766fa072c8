using System.Numerics;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Linux.Vhost;

namespace Cnvm.Virtio.VhostUser;

/// <summary>
/// Memory in which a back end marks the pages that it writes: one bit for each page of guest-physical addresses, set by atomic operations
/// ("Migration" of the vhost-user protocol). One thread at a time.
/// </summary>
internal sealed unsafe class VhostUserLog : IDisposable
{
    private const int BitsPerWord = 64;
    private readonly MappedMemory _memory;

    public VhostUserLog(GuestMemory memory)
    {
        Bytes = BytesFor(memory);
        File = MemoryFile.Create("cnvm-dirty-log", Bytes);
        try
        {
            _memory = MappedMemory.Map((nuint)Bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, File.Value, 0, "the dirty log");
        }
        catch
        {
            File.Dispose();
            throw;
        }
    }

    /// <summary>How large a log is for the memory that there is now.</summary>
    public static ulong BytesFor(GuestMemory memory)
    {
        const ulong PagesPerPage = VhostAbi.VHOST_PAGE_SIZE * 8;
        ulong pages = memory.Regions[^1].End / VhostAbi.VHOST_PAGE_SIZE;
        return (pages + PagesPerPage - 1) / PagesPerPage * VhostAbi.VHOST_PAGE_SIZE;
    }

    public FileDescriptor File { get; }

    public ulong Bytes { get; }

    /// <summary>Moves the marks; ones outside guest memory are dropped.</summary>
    public void Collect(DirtyBitmap into)
    {
        // SAFETY: the mapping lives as long as this object, is sealed against shrinking, and is a multiple of eight bytes.
        var words = new Span<ulong>((void*)_memory.Address, (int)(Bytes / sizeof(ulong)));
        for (int i = 0; i < words.Length; i++)
        {
            if (Volatile.Read(ref words[i]) == 0)
            {
                continue;
            }

            for (ulong bits = Interlocked.Exchange(ref words[i], 0); bits != 0; bits &= bits - 1)
            {
                ulong page = ((ulong)i * BitsPerWord) + (ulong)BitOperations.TrailingZeroCount(bits);
                into.Mark(page * VhostAbi.VHOST_PAGE_SIZE, VhostAbi.VHOST_PAGE_SIZE);
            }
        }
    }

    public void Dispose()
    {
        _memory.Dispose();
        File.Dispose();
    }
}
