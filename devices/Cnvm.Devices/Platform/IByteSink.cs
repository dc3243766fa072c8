namespace Cnvm.Devices.Platform;

/// <summary>Takes the bytes that a guest writes to an output-only device. Called on vCPU threads; must not block for long.</summary>
public interface IByteSink
{
    void Write(byte value);
}
