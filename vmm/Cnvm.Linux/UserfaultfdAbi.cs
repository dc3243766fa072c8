using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>struct uffdio_api (linux/userfaultfd.h).</summary>
[Abi("linux/userfaultfd.h", "struct uffdio_api")]
[StructLayout(LayoutKind.Sequential)]
internal struct uffdio_api
{
    public ulong api;
    public ulong features;
    public ulong ioctls;
}

/// <summary>struct uffdio_range (linux/userfaultfd.h).</summary>
[Abi("linux/userfaultfd.h", "struct uffdio_range")]
[StructLayout(LayoutKind.Sequential)]
internal struct uffdio_range
{
    public ulong start;
    public ulong len;
}

/// <summary>struct uffdio_register (linux/userfaultfd.h).</summary>
[Abi("linux/userfaultfd.h", "struct uffdio_register")]
[StructLayout(LayoutKind.Sequential)]
internal struct uffdio_register
{
    public uffdio_range range;
    public ulong mode;
    public ulong ioctls;
}

/// <summary>struct uffdio_copy (linux/userfaultfd.h).</summary>
[Abi("linux/userfaultfd.h", "struct uffdio_copy")]
[StructLayout(LayoutKind.Sequential)]
internal struct uffdio_copy
{
    public ulong dst;
    public ulong src;
    public ulong len;
    public ulong mode;
    public long copy;
}

/// <summary>struct uffdio_zeropage (linux/userfaultfd.h).</summary>
[Abi("linux/userfaultfd.h", "struct uffdio_zeropage")]
[StructLayout(LayoutKind.Sequential)]
internal struct uffdio_zeropage
{
    public uffdio_range range;
    public ulong mode;
    public long zeropage;
}

/// <summary>struct uffd_msg (linux/userfaultfd.h), the members of a page fault.</summary>
[Abi("linux/userfaultfd.h", "struct uffd_msg")]
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct uffd_msg
{
    [FieldOffset(0), AbiField("event")]
    public byte kind;
    [FieldOffset(8), AbiField("arg.pagefault.flags")]
    public ulong flags;
    [FieldOffset(16), AbiField("arg.pagefault.address")]
    public ulong address;
}
