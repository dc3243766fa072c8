using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Tests.Fakes;

/// <summary>Answers every access and remembers the last.</summary>
internal sealed class RecordingDevice(byte fill = 0x5a, IoResult result = IoResult.Ok) : IIoDevice
{
    public ulong LastOffset { get; private set; }

    public ulong LastValue { get; private set; }

    public int Reads { get; private set; }

    public int Writes { get; private set; }

    public IoResult Read(ulong offset, Span<byte> data)
    {
        Reads++;
        LastOffset = offset;
        data.Fill(fill);
        return result;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        Writes++;
        LastOffset = offset;
        LastValue = IoData.Get(data);
        return result;
    }
}
