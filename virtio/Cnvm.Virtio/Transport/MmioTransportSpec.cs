namespace Cnvm.Virtio.Transport;

/// <summary>Registers of virtio over MMIO, version 2 (virtio 1.2 §4.2.2).</summary>
internal static class MmioTransportSpec
{
    public const uint Magic = 0x74726976;
    public const uint Version = 2;

    /// <summary>Our vendor id: "CNVM".</summary>
    public const uint Vendor = 0x4d564e43;

    public const uint MagicValue = 0x000;
    public const uint VersionRegister = 0x004;
    public const uint DeviceId = 0x008;
    public const uint VendorId = 0x00c;
    public const uint DeviceFeatures = 0x010;
    public const uint DeviceFeaturesSel = 0x014;
    public const uint DriverFeatures = 0x020;
    public const uint DriverFeaturesSel = 0x024;
    public const uint QueueSel = 0x030;
    public const uint QueueNumMax = 0x034;
    public const uint QueueNum = 0x038;
    public const uint QueueReady = 0x044;
    public const uint QueueNotify = 0x050;
    public const uint InterruptStatus = 0x060;
    public const uint InterruptAck = 0x064;
    public const uint Status = 0x070;
    public const uint QueueDescLow = 0x080;
    public const uint QueueDescHigh = 0x084;
    public const uint QueueDriverLow = 0x090;
    public const uint QueueDriverHigh = 0x094;
    public const uint QueueDeviceLow = 0x0a0;
    public const uint QueueDeviceHigh = 0x0a4;
    public const uint ShmLenLow = 0x0b0;
    public const uint ShmLenHigh = 0x0b4;
    public const uint ShmBaseLow = 0x0b8;
    public const uint ShmBaseHigh = 0x0bc;
    public const uint ConfigGeneration = 0x0fc;
    public const uint Config = 0x100;

    // InterruptStatus.
    public const int UsedBuffer = 1;
    public const int ConfigChange = 2;
}
