namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>How an image is used.</summary>
internal sealed record Qcow2LayerOptions
{
    public bool IsReadOnly { get; init; }

    /// <summary>Freed clusters become holes in the host's file.</summary>
    public bool GivesBack { get; init; } = true;

    /// <summary>Gives up the lock on the file; null: there is none.</summary>
    public Action? Unlock { get; init; }

    /// <summary>Takes the lock on the file again.</summary>
    public Action? Relock { get; init; }
}
