namespace Cnvm.Shim.Sandboxes;

/// <summary>A container that is to be made.</summary>
internal sealed record ContainerSettings
{
    public required string Id { get; init; }

    /// <summary>OCI configuration as JSON.</summary>
    public required ReadOnlyMemory<byte> Spec { get; init; }

    /// <summary>Folder on the host that is the container's root.</summary>
    public required string Rootfs { get; init; }
}
