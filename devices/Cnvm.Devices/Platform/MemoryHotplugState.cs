namespace Cnvm.Devices.Platform;

/// <summary>State of the memory hot-plug registers.</summary>
public sealed record MemoryHotplugState
{
    /// <summary>Where the memory of each slot that has any begins, from the first slot on.</summary>
    public required ulong[] Starts { get; init; }

    /// <summary>How many bytes it has.</summary>
    public required ulong[] Lengths { get; init; }

    /// <summary>A bit for each slot whose memory the guest has not been notified of yet.</summary>
    public required uint Inserting { get; init; }

    /// <summary>The slot that the guest has selected; any value is possible.</summary>
    public required uint Selected { get; init; }
}
