using Cnvm.Linux;
using Cnvm.Linux.Vhost;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.VhostUser.Serving;

/// <summary>The memory in which requests in flight are noted, which the front end keeps from one back end to the next.</summary>
internal sealed class SharedInflight : IDisposable
{
    private readonly MappedMemory _memory;
    private readonly int _queues;
    private readonly ushort _queueSize;

    private SharedInflight(MappedMemory memory, int queues, ushort queueSize)
    {
        _memory = memory;
        _queues = queues;
        _queueSize = queueSize;
    }

    /// <summary>Makes the memory.</summary>
    /// <param name="bytes">What of the file counts.</param>
    /// <exception cref="LinuxException">The host has not so much.</exception>
    public static FileDescriptor Make(int queues, ushort queueSize, out ulong bytes)
    {
        bytes = BytesFor(queues, queueSize);
        return MemoryFile.Create("cnvm-inflight", (bytes + VhostAbi.VHOST_PAGE_SIZE - 1) & ~(ulong)(VhostAbi.VHOST_PAGE_SIZE - 1));
    }

    /// <summary>Maps memory that some back end has made.</summary>
    /// <param name="file">Stays the caller's, and need not stay open.</param>
    /// <exception cref="VhostUserException">It cannot be such memory.</exception>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static SharedInflight Map(FileDescriptor file, ulong bytes, ulong offset, int queues, ushort queueSize)
    {
        if (!MemoryFile.IsMemory(file.Value))
        {
            throw new VhostUserException("requests in flight are noted in no memory file");
        }

        if (MemoryFile.PageBytesOf(file.Value) != VhostAbi.VHOST_PAGE_SIZE)
        {
            throw new VhostUserException("requests in flight cannot lie in huge pages");
        }

        // Before it is measured: in between it could be cut off.
        _ = MemoryFile.TryKeepWhole(file.Value);
        ulong size = MemoryFile.SizeOf(file.Value);
        if (offset % VhostAbi.VHOST_PAGE_SIZE != 0 || offset > size || bytes > size - offset || bytes < BytesFor(queues, queueSize))
        {
            throw new VhostUserException(
                $"a file of 0x{size:x} bytes has no notes of {queues} queues of {queueSize} in 0x{bytes:x} bytes at 0x{offset:x}");
        }

        return new SharedInflight(
            MappedMemory.Map((nuint)bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, file.Value, (long)offset, "requests in flight"), queues, queueSize);
    }

    /// <summary>Opens a queue's part. It is of use as long as this object.</summary>
    /// <exception cref="VhostUserException">There is none for such a queue.</exception>
    public InflightQueue Open(int queue, ushort size, ushort used) =>
        queue < _queues && size <= _queueSize
            ? new InflightQueue(_memory.Address + (nint)((ulong)queue * InflightQueue.BytesFor(_queueSize)), size, used)
            : throw new VhostUserException($"requests of queue {queue} with {size} elements cannot be noted in memory for {_queues} queues of {_queueSize}");

    public void Dispose() => _memory.Dispose();

    private static ulong BytesFor(int queues, ushort queueSize) => (ulong)queues * InflightQueue.BytesFor(queueSize);
}
