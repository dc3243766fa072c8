using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Tests.Fakes;

/// <summary>Register accesses as a guest's instructions make them.</summary>
internal static class BusAccess
{
    public static byte In8(this IoBus bus, ulong address) => (byte)bus.Load(address, 1);

    public static ushort In16(this IoBus bus, ulong address) => (ushort)bus.Load(address, 2);

    public static uint In32(this IoBus bus, ulong address) => (uint)bus.Load(address, 4);

    public static void Out8(this IoBus bus, ulong address, byte value) => bus.Store(address, 1, value);

    public static void Out16(this IoBus bus, ulong address, ushort value) => bus.Store(address, 2, value);

    public static void Out32(this IoBus bus, ulong address, uint value) => bus.Store(address, 4, value);

    public static ulong Load(this IoBus bus, ulong address, int width)
    {
        Span<byte> data = stackalloc byte[8];
        bus.Read(address, data[..width]);
        return IoData.Get(data[..width]);
    }

    public static void Store(this IoBus bus, ulong address, int width, ulong value)
    {
        Span<byte> data = stackalloc byte[8];
        IoData.Set(data[..width], value);
        bus.Write(address, data[..width]);
    }
}
