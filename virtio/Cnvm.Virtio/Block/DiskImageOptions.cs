namespace Cnvm.Virtio.Block;

/// <summary>How an image of any format is opened.</summary>
public sealed record DiskImageOptions
{
    public required RawImageOptions File { get; init; }

    /// <summary>The format that it has to have.</summary>
    public ImageFormat Format { get; init; }

    /// <summary>The image may build on the files that it names.</summary>
    public bool AllowBackingFiles { get; init; }
}
