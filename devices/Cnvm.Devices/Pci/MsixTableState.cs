namespace Cnvm.Devices.Pci;

/// <summary>Contents of an MSI-X table and its pending bits. Enable and function mask are in the configuration space.</summary>
public sealed record MsixTableState
{
    public required MsixEntryState[] Entries { get; init; }
}
