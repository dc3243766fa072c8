using Microsoft.Extensions.Logging;

namespace Cnvm.Devices.Pci;

/// <summary>The host bridge that a guest expects in slot 0 of segment 0; it does nothing else than be there.</summary>
public sealed class PciHostBridge(ILogger logger)
    : PciFunction("__pci_host_bridge", new PciIdentity(VendorId, DeviceId, HostBridgeClass, 0, 0, 0), logger)
{
    private const ushort VendorId = 0x8086;
    private const ushort DeviceId = 0x0d57;
    private const uint HostBridgeClass = 0x06_00_00;

    public PciFunctionState Save() => SaveFunction();

    /// <exception cref="DeviceStateException">The state is of another function.</exception>
    public void Restore(PciFunctionState state) => RestoreFunction(state);
}
