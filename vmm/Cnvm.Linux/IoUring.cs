using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// An io_uring(7): requests are queued in shared memory, <see cref="Submit"/> hands a batch to the kernel, and completions are
/// read from shared memory. One thread at a time. Buffers and iovec arrays stay valid until their completion is taken.
/// </summary>
[Abi("linux/io_uring.h")]
public sealed unsafe partial class IoUring : IDisposable
{
    private const long NrSetup = 425;
    private const long NrEnter = 426;
    private const long NrRegister = 427;

    private const byte IORING_OP_READV = 1;
    private const byte IORING_OP_WRITEV = 2;
    private const byte IORING_OP_FSYNC = 3;
    private const byte IORING_OP_FALLOCATE = 17;
    private const uint IORING_FSYNC_DATASYNC = 1;
    private const uint IORING_FEAT_SINGLE_MMAP = 1;
    private const uint IORING_FEAT_NODROP = 2;
    private const uint IORING_ENTER_GETEVENTS = 1;
    private const uint IORING_REGISTER_EVENTFD = 4;
    private const long IORING_OFF_SQ_RING = 0;
    private const long IORING_OFF_SQES = 0x10000000;

    private readonly FileDescriptor _fd;
    private readonly byte* _ring;
    private readonly nuint _ringBytes;
    private readonly io_uring_sqe* _sqes;
    private readonly nuint _sqeBytes;
    private readonly uint* _sqHead;
    private readonly uint* _sqTail;
    private readonly uint* _cqHead;
    private readonly uint* _cqTail;
    private readonly io_uring_cqe* _cqes;
    private readonly uint _sqEntries;
    private readonly uint _sqMask;
    private readonly uint _cqMask;
    private uint _tail;
    private uint _unsubmitted;
    private bool _disposed;

    /// <param name="entries">Requests that may be in flight; rounded up to a power of two by the kernel.</param>
    /// <exception cref="LinuxException">The kernel has no io_uring or refuses it (ENOSYS, EPERM).</exception>
    public IoUring(int entries)
    {
        io_uring_params p = default;
        // SAFETY: the kernel reads and fills one local.
        _fd = new FileDescriptor((int)LinuxError.Check((nint)syscall(NrSetup, entries, (nint)(&p), 0, 0, 0, 0), "io_uring_setup"));
        if ((p.features & (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP)) != (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP))
        {
            _fd.Dispose();
            throw new LinuxException("io_uring_setup (the kernel's io_uring is too old)", Errno.ENOSYS);
        }

        _ringBytes = Math.Max(p.sq_off.array + (p.sq_entries * sizeof(uint)), p.cq_off.cqes + (p.cq_entries * (uint)sizeof(io_uring_cqe)));
        _sqeBytes = p.sq_entries * (nuint)sizeof(io_uring_sqe);
        // SAFETY: the offsets below come from the kernel and lie inside the two mappings, which live as long as this object.
        _ring = (byte*)Map(_fd, _ringBytes, IORING_OFF_SQ_RING);
        _sqes = (io_uring_sqe*)Map(_fd, _sqeBytes, IORING_OFF_SQES);
        _sqHead = (uint*)(_ring + p.sq_off.head);
        _sqTail = (uint*)(_ring + p.sq_off.tail);
        _cqHead = (uint*)(_ring + p.cq_off.head);
        _cqTail = (uint*)(_ring + p.cq_off.tail);
        _cqes = (io_uring_cqe*)(_ring + p.cq_off.cqes);
        _sqMask = *(uint*)(_ring + p.sq_off.ring_mask);
        _cqMask = *(uint*)(_ring + p.cq_off.ring_mask);
        _sqEntries = p.sq_entries;
        uint* array = (uint*)(_ring + p.sq_off.array);
        for (uint i = 0; i < p.sq_entries; i++)
        {
            // Slot i always names entry i: requests are submitted in the order in which they are queued.
            array[i] = i;
        }
    }

    /// <summary>True when the kernel lets this process create a ring.</summary>
    public static bool IsAvailable()
    {
        try
        {
            using IoUring probe = new(1);
            return true;
        }
        catch (LinuxException)
        {
            return false;
        }
    }

    /// <summary>Every completion signals <paramref name="fd"/>, an eventfd.</summary>
    public void RegisterEventFd(int fd) =>
        // SAFETY: the kernel reads one int.
        LinuxError.Check((nint)syscall(NrRegister, _fd.Value, (nint)IORING_REGISTER_EVENTFD, (nint)(&fd), 1, 0, 0), "io_uring_register");

    /// <summary>Queues a scattered read (preadv).</summary>
    /// <returns>False when the submission ring is full: <see cref="Submit"/> first.</returns>
    public bool TryQueueRead(int fd, IoVec* vectors, int count, ulong offset, ulong token) =>
        TryQueue(IORING_OP_READV, fd, offset, (ulong)vectors, (uint)count, 0, token);

    /// <inheritdoc cref="TryQueueRead"/>
    public bool TryQueueWrite(int fd, IoVec* vectors, int count, ulong offset, ulong token) =>
        TryQueue(IORING_OP_WRITEV, fd, offset, (ulong)vectors, (uint)count, 0, token);

    /// <summary>Queues fdatasync.</summary>
    public bool TryQueueDataSync(int fd, ulong token) => TryQueue(IORING_OP_FSYNC, fd, 0, 0, 0, IORING_FSYNC_DATASYNC, token);

    /// <summary>Queues fallocate(fd, mode, offset, length).</summary>
    public bool TryQueueAllocate(int fd, int mode, ulong offset, ulong length, ulong token) =>
        TryQueue(IORING_OP_FALLOCATE, fd, offset, length, (uint)mode, 0, token);

    /// <summary>Hands every queued request to the kernel in one call.</summary>
    /// <exception cref="LinuxException">The ring itself failed.</exception>
    public void Submit()
    {
        while (_unsubmitted > 0)
        {
            // SAFETY: no pointer is passed.
            long taken = syscall(NrEnter, _fd.Value, (nint)_unsubmitted, 0, 0, 0, 0);
            if (taken >= 0)
            {
                _unsubmitted -= (uint)taken;
                continue;
            }

            switch (LinuxError.Last)
            {
                case Errno.EINTR:
                    continue;
                case Errno.EAGAIN or Errno.EBUSY:
                    // Out of kernel memory for requests, or completions wait to be taken: one finished request makes room.
                    WaitForCompletion();
                    return;
                default:
                    LinuxError.Throw("io_uring_enter");
                    break;
            }
        }
    }

    /// <summary>True while queued requests wait for <see cref="Submit"/>.</summary>
    public bool HasUnsubmitted => _unsubmitted > 0;

    /// <summary>Blocks until at least one completion can be taken. Only while a request is in flight.</summary>
    public void WaitForCompletion()
    {
        // SAFETY: no pointer is passed. EINTR is a spurious return, which the caller's loop absorbs.
        _ = syscall(NrEnter, _fd.Value, 0, 1, (nint)IORING_ENTER_GETEVENTS, 0, 0);
    }

    /// <summary>Takes one completion, without a system call.</summary>
    /// <param name="token">The request's mark.</param>
    /// <param name="result">Bytes, or a negative error number.</param>
    public bool TryComplete(out ulong token, out int result)
    {
        // SAFETY: ring pointers lie in the mapping; the index is masked.
        uint head = *_cqHead;
        // Acquire: the entry is read only after the tail that covers it.
        if (head == Volatile.Read(ref *_cqTail))
        {
            token = 0;
            result = 0;
            return false;
        }

        io_uring_cqe* cqe = &_cqes[head & _cqMask];
        token = cqe->user_data;
        result = cqe->res;
        // Release: the kernel may reuse the entry only after it has been read.
        Volatile.Write(ref *_cqHead, head + 1);
        return true;
    }

    /// <summary>Cancels nothing: the owner takes every completion first.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _ = Libc.munmap((nint)_sqes, _sqeBytes);
        _ = Libc.munmap((nint)_ring, _ringBytes);
        _fd.Dispose();
    }

    private bool TryQueue(byte opcode, int fd, ulong offset, ulong address, uint length, uint flags, ulong token)
    {
        // Acquire: an entry is overwritten only after the kernel has moved its head past it.
        if (_tail - Volatile.Read(ref *_sqHead) >= _sqEntries)
        {
            return false;
        }

        // SAFETY: the index is masked.
        _sqes[_tail & _sqMask] = new io_uring_sqe
        {
            opcode = opcode,
            fd = fd,
            off = offset,
            addr = address,
            len = length,
            rw_flags = flags,
            user_data = token,
        };
        _tail++;
        _unsubmitted++;
        // Release: the kernel sees the entry before the tail that covers it.
        Volatile.Write(ref *_sqTail, _tail);
        return true;
    }

    private static nint Map(FileDescriptor fd, nuint bytes, long offset)
    {
        nint address = Libc.mmap(0, bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED | Libc.MAP_POPULATE, fd.Value, offset);
        if (address == -1)
        {
            int error = LinuxError.Last;
            fd.Dispose();
            throw new LinuxException("mmap of an io_uring", error);
        }

        return address;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial long syscall(long number, nint a, nint b, nint c, nint d, nint e, nint f);
}
