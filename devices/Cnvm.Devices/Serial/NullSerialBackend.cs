namespace Cnvm.Devices.Serial;

/// <summary>A line that leads nowhere: output vanishes, input never comes.</summary>
public sealed class NullSerialBackend : ISerialBackend
{
    public bool TryWrite(byte value) => true;

    public int Read(Span<byte> destination) => 0;
}
