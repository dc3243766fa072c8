using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Platform;

/// <summary>
/// Ports 0x60 and 0x64 of a PC whose keyboard controller only resets the machine (IBM PC AT Technical Reference, "Keyboard
/// Controller": command 0xfe, and bit 0 of the output port by command 0xd1). There is no keyboard behind it.
/// </summary>
/// <remarks>
/// The status says that a byte waits to be read, always. Linux empties the buffer before anything else, gives up after 16 bytes
/// and concludes that there is no controller; a controller that accepts commands would cost it a time-out of half a second for
/// each answer that does not come. The input buffer reads as empty, so that a kernel that waits to write its reset command does
/// not wait.
/// </remarks>
public sealed class I8042(IMachineEvents events)
{
    public const ushort DataPort = 0x60;
    public const ushort CommandPort = 0x64;

    private const string Name = "i8042";

    // Status: output buffer full, self-test passed, keyboard not locked.
    private const byte Status = 0b0001_0101;
    private const byte NoData = 0xff;
    private const byte CommandWriteOutputPort = 0xd1;

    // 0xf0 to 0xff pulse the output lines whose bit is 0; line 0 is the processor's reset.
    private const byte CommandPulse = 0xf0;
    private const byte ResetLine = 1 << 0;

    private volatile bool _expectsOutputPort;

    /// <summary>Registers both ports.</summary>
    /// <exception cref="IoBusConflictException">A port is taken.</exception>
    public void Register(IoBus ports)
    {
        ArgumentNullException.ThrowIfNull(ports);
        ports.Register(DataPort, 1, new Data(this), "i8042 data");
        ports.Register(CommandPort, 1, new Command(this), "i8042 command");
    }

    public void Reset() => _expectsOutputPort = false;

    public I8042State Save() => new(_expectsOutputPort);

    public void Restore(I8042State state)
    {
        ArgumentNullException.ThrowIfNull(state);
        _expectsOutputPort = state.ExpectsOutputPort;
    }

    private sealed class Data(I8042 controller) : IIoDevice
    {
        public IoResult Read(ulong offset, Span<byte> data)
        {
            if (data.Length != 1)
            {
                return IoResult.InvalidSize;
            }

            data[0] = NoData;
            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (data.Length != 1)
            {
                return IoResult.InvalidSize;
            }

            if (controller._expectsOutputPort)
            {
                controller._expectsOutputPort = false;
                if ((data[0] & ResetLine) == 0)
                {
                    controller.RequestReset();
                }
            }

            return IoResult.Ok;
        }
    }

    private void RequestReset() => events.RequestReset(Name);

    private sealed class Command(I8042 controller) : IIoDevice
    {
        public IoResult Read(ulong offset, Span<byte> data)
        {
            if (data.Length != 1)
            {
                return IoResult.InvalidSize;
            }

            data[0] = Status;
            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (data.Length != 1)
            {
                return IoResult.InvalidSize;
            }

            byte command = data[0];
            controller._expectsOutputPort = command == CommandWriteOutputPort;
            if (command >= CommandPulse && (command & ResetLine) == 0)
            {
                controller.RequestReset();
            }

            return IoResult.Ok;
        }
    }
}
