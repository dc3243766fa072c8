namespace Cnvm.Devices.Platform;

/// <summary>State of the PCI hot-plug registers; an element of each list for every segment, a bit for every slot.</summary>
public sealed record PciHotplugState
{
    /// <summary>Slots with a new function that the guest has not asked for yet.</summary>
    public required ulong[] Up { get; init; }

    /// <summary>Slots to be given up that the guest has not asked for yet.</summary>
    public required ulong[] Down { get; init; }

    /// <summary>Slots that the guest has given up, and whose function has not been taken away yet.</summary>
    public required ulong[] Ejected { get; init; }

    /// <summary>Index of the selected segment.</summary>
    public required uint Selected { get; init; }
}
