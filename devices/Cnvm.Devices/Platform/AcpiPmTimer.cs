using Cnvm.Devices.Bus;
using Cnvm.Devices.Time;

namespace Cnvm.Devices.Platform;

/// <summary>ACPI power management timer, 32 bits wide, read-only, from VM time (ACPI 6.5 §4.8.3.3). Stateless.</summary>
public sealed class AcpiPmTimer(IVmClock clock) : IIoDevice
{
    public const ushort DefaultPort = 0x608;

    public const ulong Size = 4;

    /// <summary>Hertz.</summary>
    public const ulong Frequency = 3_579_545;

    private const ulong NanosecondsPerSecond = 1_000_000_000;

    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (offset + (ulong)data.Length > Size)
        {
            return IoResult.InvalidSize;
        }

        uint ticks = (uint)((UInt128)clock.Nanoseconds * Frequency / NanosecondsPerSecond);
        IoData.Set(data, ticks >> (8 * (int)offset));
        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data) => IoResult.Ok;
}
