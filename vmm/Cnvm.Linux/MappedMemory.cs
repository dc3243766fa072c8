using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>A range of this process's address space that munmap(2) gives back when its owner disposes it.</summary>
public sealed unsafe class MappedMemory : SafeHandle
{
    private static readonly nint MapFailed = -1;

    private MappedMemory(nint address, nuint length)
        : base(0, ownsHandle: true)
    {
        SetHandle(address);
        Length = length;
    }

    /// <summary>First byte; valid until this object is disposed.</summary>
    public nint Address => handle;

    /// <summary>Bytes.</summary>
    public nuint Length { get; }

    public override bool IsInvalid => handle == 0;

    /// <summary>Maps a file; see mmap(2) for the flags.</summary>
    /// <param name="what">What is mapped, for the error message.</param>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static MappedMemory Map(nuint length, int protection, int flags, int fd, long offset, string what)
    {
        nint address = Libc.mmap(0, length, protection, flags, fd, offset);
        if (address == MapFailed)
        {
            LinuxError.Throw($"mmap of {what}, {length} bytes");
        }

        return new MappedMemory(address, length);
    }

    /// <summary>Maps zeroed private memory that belongs to no file.</summary>
    public static MappedMemory Anonymous(nuint length) =>
        Map(length, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0, "anonymous memory");

    protected override bool ReleaseHandle() => Libc.munmap(handle, Length) == 0;
}
