using Cnvm.Devices.Bus;
using Cnvm.Devices.Time;

namespace Cnvm.Devices.Platform;

/// <summary>
/// Port 0x61 of a machine without an 8254 (which else answers it): the refresh toggle in bit 4 runs, and output 2 in bit 5 reads
/// high, so that a kernel that waits for a counter to run out does not wait. Stateless.
/// </summary>
public sealed class SystemControlPort(IVmClock clock) : IIoDevice
{
    public const ushort Port = 0x61;

    public const ulong Size = 1;

    private const byte Refresh = 1 << 4;
    private const byte Output2 = 1 << 5;
    private const ulong RefreshHalfPeriod = 15_085;

    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (data.Length != 1)
        {
            return IoResult.InvalidSize;
        }

        data[0] = (byte)(Output2 | ((clock.Nanoseconds / RefreshHalfPeriod & 1) != 0 ? Refresh : 0));
        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data) => data.Length == 1 ? IoResult.Ok : IoResult.InvalidSize;
}
