namespace Cnvm.Virtio.Block;

/// <summary>How an image is used.</summary>
internal sealed record LayerOptions
{
    public bool IsReadOnly { get; init; }

    /// <summary>What is given up becomes holes in the host's file.</summary>
    public bool GivesBack { get; init; } = true;

    /// <summary>Gives up the lock on the file; null: there is none.</summary>
    public Action? Unlock { get; init; }

    /// <summary>Takes the lock on the file again.</summary>
    public Action? Relock { get; init; }
}
