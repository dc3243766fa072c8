using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>struct io_uring_sqe (linux/io_uring.h), the members that are used here.</summary>
[Abi("linux/io_uring.h", "struct io_uring_sqe")]
[StructLayout(LayoutKind.Explicit, Size = 64)]
public struct io_uring_sqe
{
    [FieldOffset(0)]
    public byte opcode;
    [FieldOffset(1)]
    public byte flags;
    [FieldOffset(2)]
    public ushort ioprio;
    [FieldOffset(4)]
    public int fd;
    [FieldOffset(8)]
    public ulong off;
    [FieldOffset(16)]
    public ulong addr;
    [FieldOffset(24)]
    public uint len;
    [FieldOffset(28), AbiField("rw_flags")]
    public uint rw_flags;
    [FieldOffset(32)]
    public ulong user_data;
}

/// <summary>struct io_uring_cqe (linux/io_uring.h).</summary>
[Abi("linux/io_uring.h", "struct io_uring_cqe")]
[StructLayout(LayoutKind.Sequential)]
public struct io_uring_cqe
{
    public ulong user_data;
    public int res;
    public uint flags;
}

/// <summary>struct io_sqring_offsets (linux/io_uring.h).</summary>
[Abi("linux/io_uring.h", "struct io_sqring_offsets")]
[StructLayout(LayoutKind.Sequential)]
public struct io_sqring_offsets
{
    public uint head;
    public uint tail;
    public uint ring_mask;
    public uint ring_entries;
    public uint flags;
    public uint dropped;
    public uint array;
    public uint resv1;
    public ulong resv2;
}

/// <summary>struct io_cqring_offsets (linux/io_uring.h).</summary>
[Abi("linux/io_uring.h", "struct io_cqring_offsets")]
[StructLayout(LayoutKind.Sequential)]
public struct io_cqring_offsets
{
    public uint head;
    public uint tail;
    public uint ring_mask;
    public uint ring_entries;
    public uint overflow;
    public uint cqes;
    public uint flags;
    public uint resv1;
    public ulong resv2;
}

/// <summary>struct io_uring_params (linux/io_uring.h).</summary>
[Abi("linux/io_uring.h", "struct io_uring_params")]
[StructLayout(LayoutKind.Sequential)]
public unsafe struct io_uring_params
{
    public uint sq_entries;
    public uint cq_entries;
    public uint flags;
    public uint sq_thread_cpu;
    public uint sq_thread_idle;
    public uint features;
    public uint wq_fd;
    public fixed uint resv[3];
    public io_sqring_offsets sq_off;
    public io_cqring_offsets cq_off;
}
