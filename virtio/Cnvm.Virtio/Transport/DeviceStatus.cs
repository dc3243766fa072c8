namespace Cnvm.Virtio.Transport;

/// <summary>Bits of the device status field (virtio 1.2 §2.1).</summary>
internal static class DeviceStatus
{
    public const int Acknowledge = 1;
    public const int Driver = 2;
    public const int DriverOk = 4;
    public const int FeaturesOk = 8;
    public const int NeedsReset = 64;
    public const int Failed = 128;

    /// <summary>Bits that a driver sets.</summary>
    public const int Driven = Acknowledge | Driver | DriverOk | FeaturesOk | Failed;
}
