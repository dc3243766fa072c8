namespace Cnvm.Devices.Pci;

/// <summary>What every PCI function saves.</summary>
public sealed record PciFunctionState
{
    /// <summary>The configuration space, 256 or 4096 bytes.</summary>
    public required byte[] Config { get; init; }

    /// <summary>The function asserts its interrupt pin, whether the guest disabled it or not.</summary>
    public bool IsPinAsserted { get; init; }

    /// <summary>The MSI-X table; null for a function without one.</summary>
    public MsixTableState? Msix { get; init; }
}
