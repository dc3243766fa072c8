namespace Cnvm.Virtio.Transport;

/// <summary>Registers of virtio over PCI (virtio 1.2 §4.1) and where they lie in our BAR.</summary>
public static class PciTransportSpec
{
    public const ushort VendorId = 0x1af4;

    /// <summary>Modern device ids count from here (§4.1.2).</summary>
    public const ushort DeviceIdBase = 0x1040;

    public const int Bar = 0;
    public const ulong BarSize = 512 * 1024;
    public const uint CommonOffset = 0x0000;
    public const uint CommonLength = 56;
    public const uint IsrOffset = 0x2000;
    public const uint IsrLength = 1;
    public const uint DeviceOffset = 0x4000;
    public const uint DeviceLength = 0x1000;
    public const uint NotifyOffset = 0x6000;
    public const uint NotifyLength = 0x1000;
    public const uint NotifyMultiplier = 4;
    public const uint MsixTableOffset = 0x8000;
    public const uint MsixPbaOffset = 0x48000;

    // struct virtio_pci_cap (§4.1.4).
    public const byte CapCommon = 1;
    public const byte CapNotify = 2;
    public const byte CapIsr = 3;
    public const byte CapDevice = 4;
    public const byte CapPciConfig = 5;
    public const int CapBar = 4;
    public const int CapOffset = 8;
    public const int CapLengthField = 12;
    public const int CapData = 16;

    // struct virtio_pci_common_cfg (§4.1.4.3).
    public const uint DeviceFeatureSelect = 0x00;
    public const uint DeviceFeature = 0x04;
    public const uint DriverFeatureSelect = 0x08;
    public const uint DriverFeature = 0x0c;
    public const uint ConfigMsixVector = 0x10;
    public const uint NumQueues = 0x12;
    public const uint DeviceStatus = 0x14;
    public const uint ConfigGeneration = 0x15;
    public const uint QueueSelect = 0x16;
    public const uint QueueSize = 0x18;
    public const uint QueueMsixVector = 0x1a;
    public const uint QueueEnable = 0x1c;
    public const uint QueueNotifyOff = 0x1e;
    public const uint QueueDescLow = 0x20;
    public const uint QueueDescHigh = 0x24;
    public const uint QueueDriverLow = 0x28;
    public const uint QueueDriverHigh = 0x2c;
    public const uint QueueDeviceLow = 0x30;
    public const uint QueueDeviceHigh = 0x34;

    /// <summary>VIRTIO_MSI_NO_VECTOR.</summary>
    public const ushort NoVector = 0xffff;

    // ISR status (§4.1.4.5).
    public const int IsrQueue = 1;
    public const int IsrConfig = 2;
}
