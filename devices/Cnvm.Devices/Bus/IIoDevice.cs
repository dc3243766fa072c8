namespace Cnvm.Devices.Bus;

/// <summary>
/// What answers a range of ports or of memory. Called on vCPU threads, several at once: a device locks what it shares.
/// Allocates nothing.
/// </summary>
public interface IIoDevice
{
    /// <summary>Fills <paramref name="data"/> (1, 2, 4 or 8 bytes) from <paramref name="offset"/> in the device's range.</summary>
    IoResult Read(ulong offset, Span<byte> data);

    /// <summary>Takes <paramref name="data"/> (1, 2, 4 or 8 bytes) written at <paramref name="offset"/> in the device's range.</summary>
    IoResult Write(ulong offset, ReadOnlySpan<byte> data);
}
