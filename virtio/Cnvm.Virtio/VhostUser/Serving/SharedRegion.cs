using Cnvm.Linux;
using Cnvm.Linux.Vhost;

namespace Cnvm.Virtio.VhostUser.Serving;

/// <summary>A region of guest memory as a front end has described it, and found to be possible.</summary>
/// <param name="File">Memory; disposed with this object.</param>
internal sealed record SharedRegion(vhost_memory_region Place, FileDescriptor File) : IDisposable
{
    private const ulong PageMask = VhostAbi.VHOST_PAGE_SIZE - 1;

    // Physical addresses have at most 52 bits, and this process's address space has to hold all that lies between two regions.
    private const ulong AddressLimit = 1UL << 52;

    public ulong Gpa => Place.guest_phys_addr;

    public ulong Size => Place.memory_size;

    public ulong End => Place.guest_phys_addr + Place.memory_size;

    /// <summary>Takes a description over.</summary>
    /// <param name="file">Owned by the result; still the caller's if this fails.</param>
    /// <exception cref="VhostUserException">There can be no such region.</exception>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static SharedRegion Take(in vhost_memory_region place, FileDescriptor file)
    {
        if (place.memory_size == 0 || ((place.guest_phys_addr | place.memory_size | place.mmap_offset) & PageMask) != 0
            || place.memory_size > AddressLimit || place.guest_phys_addr > AddressLimit - place.memory_size
            || place.userspace_addr > ulong.MaxValue - place.memory_size)
        {
            throw new VhostUserException(
                $"there can be no memory of 0x{place.memory_size:x} bytes at 0x{place.guest_phys_addr:x}, 0x{place.mmap_offset:x} into its file");
        }

        if (!MemoryFile.IsMemory(file.Value))
        {
            throw new VhostUserException("memory has to lie in a memory file: memfd, tmpfs or hugetlbfs");
        }

        // The kernel maps whole pages of the file, and huge ones would reach over what is beside them.
        ulong page = MemoryFile.PageBytesOf(file.Value);
        if (page > SharedMemory.Alignment || ((place.guest_phys_addr | place.memory_size | place.mmap_offset) & (page - 1)) != 0)
        {
            throw new VhostUserException(
                $"memory of pages of 0x{page:x} bytes cannot have 0x{place.memory_size:x} bytes at 0x{place.guest_phys_addr:x}, 0x{place.mmap_offset:x} into its file");
        }

        // Before it is measured: in between it could be cut off. Whoever uses it says so if it cannot be kept whole.
        _ = MemoryFile.TryKeepWhole(file.Value);
        ulong bytes = MemoryFile.SizeOf(file.Value);
        return place.mmap_offset <= bytes && place.memory_size <= bytes - place.mmap_offset
            ? new SharedRegion(place, file)
            : throw new VhostUserException(
                $"a file of 0x{bytes:x} bytes does not hold 0x{place.memory_size:x} bytes from 0x{place.mmap_offset:x} on");
    }

    public void Dispose() => File.Dispose();
}
