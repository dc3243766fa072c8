using Cnvm.Devices.Bus;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>Drives a virtio MMIO transport as a guest does.</summary>
internal sealed class MmioGuest : IGuestTransport, IDisposable
{
    public MmioGuest(VirtioDevice device, TestMemory memory) =>
        Transport = new VirtioMmioTransport(device, memory.Guest, Line, NullLogger.Instance);

    public VirtioMmioTransport Transport { get; }

    public TestLine Line { get; } = new();

    public byte Status
    {
        get => (byte)Get(0x70);
        set => Set(0x70, value);
    }

    public ulong DeviceFeatures
    {
        get
        {
            Set(0x14, 0);
            ulong low = Get(0x10);
            Set(0x14, 1);
            return low | ((ulong)Get(0x10) << 32);
        }
    }

    public void AcceptFeatures(ulong features)
    {
        Set(0x24, 0);
        Set(0x20, (uint)features);
        Set(0x24, 1);
        Set(0x20, (uint)(features >> 32));
    }

    public ushort MaxQueueSize(int queue)
    {
        Set(0x30, (uint)queue);
        return (ushort)Get(0x34);
    }

    public void SetUpQueue(int queue, QueueState layout)
    {
        Set(0x30, (uint)queue);
        Set(0x38, layout.Size);
        Set(0x80, (uint)layout.DescriptorTable);
        Set(0x84, (uint)(layout.DescriptorTable >> 32));
        Set(0x90, (uint)layout.AvailRing);
        Set(0x94, (uint)(layout.AvailRing >> 32));
        Set(0xa0, (uint)layout.UsedRing);
        Set(0xa4, (uint)(layout.UsedRing >> 32));
        Set(0x44, 1);
        Assert.Equal(1u, Get(0x44));
    }

    public void Notify(int queue) => Set(0x50, (uint)queue);

    public byte[] ReadConfiguration(int offset, int length)
    {
        byte[] data = new byte[length];
        Assert.Equal(IoResult.Ok, Transport.Read((ulong)(0x100 + offset), data));
        return data;
    }

    public void WriteConfiguration(int offset, byte[] data) =>
        Assert.Equal(IoResult.Ok, Transport.Write((ulong)(0x100 + offset), data));

    public void AwaitInterrupt(int queue)
    {
        Line.Await();
        uint status = Get(0x60);
        Assert.NotEqual(0u, status);
        Set(0x64, status);
    }

    public uint Get(ulong offset)
    {
        byte[] data = new byte[4];
        Assert.Equal(IoResult.Ok, Transport.Read(offset, data));
        return BitConverter.ToUInt32(data);
    }

    public void Set(ulong offset, uint value) => Assert.Equal(IoResult.Ok, Transport.Write(offset, BitConverter.GetBytes(value)));

    public void Dispose() => Transport.Dispose();
}
