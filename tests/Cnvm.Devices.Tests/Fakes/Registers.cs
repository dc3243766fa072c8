using System.Buffers.Binary;
using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Tests.Fakes;

/// <summary>Accesses of 32 bits, as AML makes them, that a device must take.</summary>
internal static class Registers
{
    public static uint Read32(this IIoDevice device, int register)
    {
        byte[] data = new byte[sizeof(uint)];
        Assert.Equal(IoResult.Ok, device.Read((ulong)register, data));
        return BinaryPrimitives.ReadUInt32LittleEndian(data);
    }

    public static void Write32(this IIoDevice device, int register, uint value)
    {
        byte[] data = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        Assert.Equal(IoResult.Ok, device.Write((ulong)register, data));
    }
}
