namespace Cnvm.Devices.Pci;

/// <summary>Offsets and bits of the type 0 configuration header and of capabilities (PCI Local Bus 3.0 §6.1, §6.2, §6.7).</summary>
public static class PciConfigSpace
{
    public const int Size = 256;

    /// <summary>Configuration space of one PCI Express function; what ECAM sets aside for it (PCI Express base spec §7.2.2).</summary>
    public const int ExtendedSize = 4096;

    public const int VendorId = 0x00;
    public const int DeviceId = 0x02;
    public const int Command = 0x04;
    public const int Status = 0x06;
    public const int RevisionId = 0x08;
    public const int ClassCode = 0x09;
    public const int HeaderType = 0x0e;
    public const int Bar0 = 0x10;
    public const int BarCount = 6;
    public const int SubsystemVendorId = 0x2c;
    public const int SubsystemId = 0x2e;
    public const int CapabilitiesPointer = 0x34;
    public const int InterruptLine = 0x3c;
    public const int InterruptPin = 0x3d;
    public const int FirstCapability = 0x40;

    public const ushort CommandMemory = 1 << 1;
    public const ushort CommandBusMaster = 1 << 2;
    public const ushort CommandInterruptDisable = 1 << 10;

    public const ushort StatusInterrupt = 1 << 3;
    public const ushort StatusCapabilities = 1 << 4;

    public const byte CapabilityMsix = 0x11;
    public const byte CapabilityVendorSpecific = 0x09;

    public const uint BarMemory64 = 0b0100;
    public const uint BarPrefetchable = 0b1000;
    public const uint BarMemoryFlags = 0xf;

    public const ushort MsixEnable = 1 << 15;
    public const ushort MsixFunctionMask = 1 << 14;
}
