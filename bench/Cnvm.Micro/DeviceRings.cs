using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Virtio;
using Cnvm.Virtio.Queues;
using Cnvm.Vmm.Memory;

namespace Cnvm.Micro;

/// <summary>
/// A device with its queues in a little memory, and a driver with one request in flight that looks at its rings all the time and allocates
/// nothing. Owns the device.
/// </summary>
internal sealed class DeviceRings : IVirtioInterrupts, IQueueFaults, IDisposable
{
    private const ushort QueueSize = 16;
    private const ushort NextFlag = 1;
    private const ushort WriteFlag = 2;
    private readonly GuestMemory _memory = GuestRamAllocator.Allocate([new RamPiece(0, 4 << 20)]);
    private readonly VirtioDevice _device;
    private readonly EventFd[] _doorbells;
    private readonly ushort[] _offered;
    private readonly ushort[] _taken;

    public DeviceRings(VirtioDevice device, int queues)
    {
        _device = device;
        _doorbells = [.. Enumerable.Range(0, queues).Select(_ => new EventFd())];
        _offered = new ushort[queues];
        _taken = new ushort[queues];
        device.Attach(this);
        device.Activate(VirtioFeatures.Version1);
        for (int i = 0; i < queues; i++)
        {
            var layout = new QueueState { Size = QueueSize, Enabled = true, DescriptorTable = Ring(i), AvailRing = Ring(i) + 0x1000, UsedRing = Ring(i) + 0x2000 };
            if (!SplitQueue.TryCreate(_memory, layout, i, VirtioFeatures.Version1, this, out SplitQueue? queue, out string? error))
            {
                throw new InvalidOperationException(error);
            }

            device.StartQueue(i, new QueueResources(queue, _memory, this, _doorbells[i]));
        }
    }

    /// <summary>Guest memory; rings lie below 1 MiB.</summary>
    public Span<byte> this[ulong address, int length] => _memory.GetSpan(address, length);

    public void Write<T>(ulong address, in T value)
        where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).CopyTo(_memory.GetSpan(address, Marshal.SizeOf<T>()));

    public T Read<T>(ulong address)
        where T : unmanaged => MemoryMarshal.Read<T>(_memory.GetSpan(address, Marshal.SizeOf<T>()));

    /// <summary>Writes a descriptor of the request; they follow one another.</summary>
    public void Describe(int queue, int index, ulong address, int length, bool isWritable, bool isLast)
    {
        Span<byte> descriptor = _memory.GetSpan(Ring(queue) + ((ulong)index * 16), 16);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor, address);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], (uint)length);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[12..], (ushort)((isWritable ? WriteFlag : 0) | (isLast ? 0 : NextFlag)));
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[14..], (ushort)(index + 1));
    }

    /// <summary>Gives the request, which begins at the first descriptor, to the device.</summary>
    public void Offer(int queue)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_memory.GetSpan(Ring(queue) + 0x1004 + ((ulong)(_offered[queue] % QueueSize) * 2), 2), 0);
        Volatile.Write(ref Index(Ring(queue) + 0x1002), ++_offered[queue]);
        _doorbells[queue].Signal();
    }

    /// <summary>Waits until the device has done it, and returns how much it wrote.</summary>
    public uint Await(int queue)
    {
        while (Volatile.Read(ref Index(Ring(queue) + 0x2002)) == _taken[queue])
        {
            Thread.Yield();
        }

        ulong element = Ring(queue) + 0x2004 + ((ulong)(_taken[queue]++ % QueueSize) * 8);
        return BinaryPrimitives.ReadUInt32LittleEndian(_memory.GetSpan(element + 4, 4));
    }

    public void SignalQueue(int queue)
    {
        // The driver looks itself.
    }

    public void SignalConfiguration()
    {
        // Nothing here changes its configuration.
    }

    public void QueueBroken(int queue, string reason) => throw new InvalidOperationException(reason);

    public void Dispose()
    {
        _device.Dispose();
        _memory.Dispose();
        Array.ForEach(_doorbells, d => d.Dispose());
    }

    private static ulong Ring(int queue) => 0x1_0000 * ((ulong)queue + 1);

    private ref ushort Index(ulong address) => ref MemoryMarshal.AsRef<ushort>(_memory.GetSpan(address, 2));
}
