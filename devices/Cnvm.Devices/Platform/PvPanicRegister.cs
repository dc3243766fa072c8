using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Platform;

/// <summary>
/// The event register of pvpanic (QEMU docs/specs/pvpanic.rst): a read gives the events that the device takes, a write reports
/// some. The BAR of <see cref="PvPanicPci"/>; as a port, 0x505, the ISA variant. Stateless.
/// </summary>
public sealed class PvPanicRegister(IMachineEvents events) : IIoDevice
{
    public const ushort IsaPort = 0x505;

    public const ulong IsaSize = 1;

    private const PanicEvent Supported = PanicEvent.Panicked | PanicEvent.CrashLoaded | PanicEvent.Shutdown;

    public IoResult Read(ulong offset, Span<byte> data)
    {
        IoData.Set(data, offset == 0 ? (ulong)Supported : 0);
        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset == 0 && ((PanicEvent)data[0] & Supported) is var reported && reported != PanicEvent.None)
        {
            events.ReportPanic(reported);
        }

        return IoResult.Ok;
    }
}
