using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.Vmm.Memory;

/// <summary>The reserved stretch of this process's address space that guest RAM is mapped into, and the files behind it.</summary>
internal sealed class GuestAddressSpace : IDisposable
{
    private readonly List<SafeHandle> _files = [];
    private readonly ulong _size;
    private readonly nint _reserved;
    private readonly nuint _length;
    private bool _disposed;

    /// <param name="size">Bytes of guest-physical address space, from GPA 0 to the end of RAM.</param>
    /// <param name="alignment">Power of two that the origin is aligned to, so that huge pages line up on both sides.</param>
    /// <exception cref="GuestRamException">The address space is too small.</exception>
    public GuestAddressSpace(ulong size, ulong alignment)
    {
        _size = size;
        _length = (nuint)(size + alignment);
        _reserved = Libc.mmap(0, _length, Libc.PROT_NONE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
        if (_reserved == -1)
        {
            throw new GuestRamException($"memory: cannot reserve {size >> 20} MiB of address space: {new LinuxException("mmap", LinuxError.Last).Message}");
        }

        Origin = (nint)(((ulong)_reserved + alignment - 1) & ~(alignment - 1));
    }

    /// <summary>Host address of GPA 0.</summary>
    public nint Origin { get; }

    /// <summary>Takes back what was mapped at a guest-physical address; the place is free again.</summary>
    public void Vacate(ulong gpa, ulong size)
    {
        nint address = Origin + (nint)gpa;
        if (Libc.mmap(address, (nuint)size, Libc.PROT_NONE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE | Libc.MAP_FIXED, -1, 0) != address)
        {
            throw new GuestRamException($"memory: cannot give {size >> 20} MiB back: {new LinuxException("mmap", LinuxError.Last).Message}");
        }
    }

    /// <summary>Whether the guest-physical range lies inside what was reserved.</summary>
    public bool Contains(ulong gpa, ulong size) => gpa <= _size && size <= _size - gpa;

    /// <summary>Closes <paramref name="file"/> when the address space goes away.</summary>
    public void Own(SafeHandle file) => _files.Add(file);

    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _ = LinuxError.Check(Libc.munmap(_reserved, _length), "munmap of guest memory");
        foreach (SafeHandle file in _files)
        {
            file.Dispose();
        }
    }
}
