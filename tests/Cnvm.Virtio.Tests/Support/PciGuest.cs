using System.Buffers.Binary;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Pci;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>Drives a virtio PCI function as a guest does: capabilities, BAR and MSI-X, over real buses.</summary>
internal sealed class PciGuest : IGuestTransport, IDisposable
{
    public const ulong MemoryWindow = 0x1_0000_0000;
    private readonly IoBus _bus = new("memory", ulong.MaxValue >> 16, NullLogger.Instance);
    private readonly Dictionary<byte, ulong> _structures = [];
    private readonly PciHost _host;

    public PciGuest(VirtioDevice device, TestMemory memory, PciTransportOptions? options = null)
    {
        _host = new PciHost(_bus, null, [new PciSegmentLayout(0, 0xe800_0000, new(0xc000_0000, 0x1000_0000), new(MemoryWindow, 0x1000_0000))]);
        Function = new VirtioPciFunction(device, memory.Guest, Msi, Doorbells, options ?? new PciTransportOptions(), NullLogger.Instance);
        _host.Attach(Function);
        Probe();
    }

    public VirtioPciFunction Function { get; }

    public TestMsi Msi { get; } = new();

    public TestDoorbells Doorbells { get; } = new();

    public ulong Bar { get; private set; }

    public bool UseHandler { get; set; }

    public byte Status
    {
        get => Get(1, 0x14, 1)[0];
        set => Set(1, 0x14, [value]);
    }

    public ulong DeviceFeatures
    {
        get
        {
            Set32(1, 0x00, 0);
            ulong low = Get32(1, 0x04);
            Set32(1, 0x00, 1);
            return low | ((ulong)Get32(1, 0x04) << 32);
        }
    }

    public void AcceptFeatures(ulong features)
    {
        Set32(1, 0x08, 0);
        Set32(1, 0x0c, (uint)features);
        Set32(1, 0x08, 1);
        Set32(1, 0x0c, (uint)(features >> 32));

        // A reset forgets the vectors, so the driver gives the one for configuration changes now.
        Set16(1, 0x10, 0);
    }

    public ushort MaxQueueSize(int queue)
    {
        Set16(1, 0x16, (ushort)queue);
        return Get16(1, 0x18);
    }

    public void SetUpQueue(int queue, QueueState layout)
    {
        Set16(1, 0x16, (ushort)queue);
        Set16(1, 0x18, layout.Size);
        Set32(1, 0x20, (uint)layout.DescriptorTable);
        Set32(1, 0x24, (uint)(layout.DescriptorTable >> 32));
        Set32(1, 0x28, (uint)layout.AvailRing);
        Set32(1, 0x2c, (uint)(layout.AvailRing >> 32));
        Set32(1, 0x30, (uint)layout.UsedRing);
        Set32(1, 0x34, (uint)(layout.UsedRing >> 32));
        Set16(1, 0x1a, (ushort)(queue + 1));
        Assert.Equal(queue + 1, Get16(1, 0x1a));
        Set16(1, 0x1c, 1);
        Assert.Equal(1, Get16(1, 0x1c));
    }

    public void Notify(int queue)
    {
        ulong address = _structures[2] + ((ulong)queue * 4);
        if (!UseHandler && Doorbells.Bound.TryGetValue((address, null), out var bound))
        {
            bound.Target.Signal();
            return;
        }

        Assert.Equal(IoResult.Ok, _bus.Write(address, BitConverter.GetBytes((ushort)queue)));
    }

    public byte[] ReadConfiguration(int offset, int length) => Get(4, offset, length);

    public void WriteConfiguration(int offset, byte[] data) => Set(4, offset, data);

    public void AwaitInterrupt(int queue) => Msi.Vectors[queue + 1].Await();

    public byte ReadIsr() => Get(3, 0, 1)[0];

    public byte[] ReadConfig(int offset, int length)
    {
        byte[] data = new byte[length];
        Function.ReadConfig(offset, data);
        return data;
    }

    public byte[] Get(byte structure, int offset, int length)
    {
        byte[] data = new byte[length];
        Assert.Equal(IoResult.Ok, _bus.Read(_structures[structure] + (ulong)offset, data));
        return data;
    }

    public IoResult TrySet(byte structure, int offset, byte[] data) => _bus.Write(_structures[structure] + (ulong)offset, data);

    public void Set(byte structure, int offset, byte[] data) => Assert.Equal(IoResult.Ok, TrySet(structure, offset, data));

    public ushort Get16(byte structure, int offset) => BitConverter.ToUInt16(Get(structure, offset, 2));

    public uint Get32(byte structure, int offset) => BitConverter.ToUInt32(Get(structure, offset, 4));

    public void Set16(byte structure, int offset, ushort value) => Set(structure, offset, BitConverter.GetBytes(value));

    public void Set32(byte structure, int offset, uint value) => Set(structure, offset, BitConverter.GetBytes(value));

    public void EnableMsix()
    {
        // Entry: address low, address high, data, control; then the enable bit of message control.
        for (int i = 0; i < Msi.Vectors.Count; i++)
        {
            ulong entry = Bar + 0x8000 + (16UL * (ulong)i);
            _bus.Write(entry, BitConverter.GetBytes(0xfee0_0000u));
            _bus.Write(entry + 4, BitConverter.GetBytes(0u));
            _bus.Write(entry + 8, BitConverter.GetBytes(0x30u + (uint)i));
            _bus.Write(entry + 12, BitConverter.GetBytes(0u));
        }

        Function.WriteConfig(FindCapability(0x11) + 2, BitConverter.GetBytes((ushort)0x8000));
        Set16(1, 0x10, 0);
    }

    public void Dispose() => Function.Dispose();

    public int FindCapability(byte id, byte? type = null)
    {
        for (int at = ReadConfig(0x34, 1)[0]; at != 0; at = ReadConfig(at + 1, 1)[0])
        {
            if (ReadConfig(at, 1)[0] == id && (type is null || ReadConfig(at + 3, 1)[0] == type))
            {
                return at;
            }
        }

        return 0;
    }

    private void Probe()
    {
        Function.WriteConfig(0x04, BitConverter.GetBytes((ushort)6));
        Bar = Function.GetBarMapping(0) ?? throw new InvalidOperationException("BAR 0 is not mapped");
        for (byte type = 1; type <= 4; type++)
        {
            int at = FindCapability(0x09, type);
            Assert.NotEqual(0, at);
            Assert.Equal(0, ReadConfig(at + 4, 1)[0]);
            byte[] offset = [.. ReadConfig(at + 8, 4)];
            _structures[type] = Bar + BinaryPrimitives.ReadUInt32LittleEndian(offset);
        }

        EnableMsix();
    }
}
