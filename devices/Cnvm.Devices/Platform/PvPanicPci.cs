using Cnvm.Devices.Pci;
using Microsoft.Extensions.Logging;

namespace Cnvm.Devices.Platform;

/// <summary>pvpanic as a PCI function, 1b36:0011 (QEMU docs/specs/pvpanic.rst): the event register is in BAR 0.</summary>
public sealed class PvPanicPci : PciFunction
{
    /// <summary>Identifier in the device tree.</summary>
    public const string DeviceName = "__pvpanic";

    private const ushort VendorId = 0x1b36;
    private const ushort DeviceId = 0x0011;
    private const uint OtherSystemPeripheral = 0x08_80_00;
    private const byte Revision = 1;
    private const ushort SubsystemVendorId = 0x1af4;
    private const ushort SubsystemId = 0x1100;

    // The register is one byte; the BAR is a page so that nothing shares it.
    private const ulong BarSize = 4096;

    public PvPanicPci(IMachineEvents events, ILogger logger)
        : base(
            DeviceName,
            new PciIdentity(VendorId, DeviceId, OtherSystemPeripheral, Revision, SubsystemVendorId, SubsystemId),
            logger)
    {
        ArgumentNullException.ThrowIfNull(events);
        AddBar(0, BarSize, PciBarKind.Memory32, new PvPanicRegister(events));
    }

    public PciFunctionState Save() => SaveFunction();

    /// <exception cref="DeviceStateException">The state is of another function.</exception>
    public void Restore(PciFunctionState state) => RestoreFunction(state);
}
