namespace Cnvm.Virtio.Balloon;

/// <summary>How a balloon is made.</summary>
public sealed record BalloonOptions
{
    /// <summary>Name in configuration and threads, <c>__balloon</c> by convention.</summary>
    public required string Id { get; init; }

    /// <summary>Bytes that the guest is asked to give up.</summary>
    public ulong Size { get; init; }

    /// <summary>The guest may take pages back by itself before it ends processes for want of memory.</summary>
    public bool DeflateOnOom { get; init; }

    /// <summary>The guest tells of free pages, which the host takes until they are used again.</summary>
    public bool FreePageReporting { get; init; }

    /// <summary>The guest tells figures of its memory.</summary>
    public bool Statistics { get; init; }
}
