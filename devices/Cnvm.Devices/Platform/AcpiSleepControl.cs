using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Platform;

/// <summary>
/// Sleep control, sleep status and reset register of a hardware-reduced ACPI machine in one port (ACPI 6.5 §4.8.3.7 and
/// §4.8.3.6). Stateless.
/// </summary>
public sealed class AcpiSleepControl(IMachineEvents events) : IIoDevice
{
    public const ushort DefaultPort = 0x600;

    public const ulong Size = 1;

    /// <summary>RESET_VALUE of the FADT.</summary>
    public const byte ResetValue = 1;

    /// <summary>SLP_TYP of the \_S5 package.</summary>
    public const int SleepTypeOff = 5;

    private const string Name = "acpi";
    private const byte SleepEnable = 1 << 5;
    private const int SleepTypeShift = 2;

    /// <summary>Wake status never is set: the machine does not sleep and wake.</summary>
    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (data.Length != 1)
        {
            return IoResult.InvalidSize;
        }

        data[0] = 0;
        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.Length != 1)
        {
            return IoResult.InvalidSize;
        }

        byte value = data[0];
        if (value == ResetValue)
        {
            events.RequestReset(Name);
        }
        else if ((value & SleepEnable) != 0)
        {
            int type = (value >> SleepTypeShift) & 7;
            if (type == SleepTypeOff)
            {
                events.RequestShutdown(Name);
            }
            else
            {
                events.RequestSleep(Name, type);
            }
        }

        return IoResult.Ok;
    }
}
