using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Platform;

/// <summary>Debug console: each byte written to its port goes to a sink; a read gives 0xe9, by which guests find it. Stateless.</summary>
public sealed class DebugConsole(IByteSink sink) : IIoDevice
{
    public const ushort DefaultPort = 0xe9;

    public const ulong Size = 1;

    private const byte Presence = 0xe9;

    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (data.Length != 1)
        {
            return IoResult.InvalidSize;
        }

        data[0] = Presence;
        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.Length != 1)
        {
            return IoResult.InvalidSize;
        }

        sink.Write(data[0]);
        return IoResult.Ok;
    }
}
