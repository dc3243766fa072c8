namespace Cnvm.Sandbox;

/// <summary>A container as somebody describes it who has no OCI runtime specification; see <see cref="SandboxVm.CreateContainerAsync(string, ContainerOptions, CancellationToken)"/>.</summary>
/// <param name="Rootfs">Its root file system.</param>
/// <param name="Process">Its first process.</param>
public sealed record ContainerOptions(ContainerRootfs Rootfs, ProcessOptions Process)
{
    /// <summary>Files and folders of the host that it has.</summary>
    public IReadOnlyList<ContainerVolume> Volumes { get; init; } = [];

    /// <summary>Disks that it has for itself.</summary>
    public IReadOnlyList<ContainerDisk> Disks { get; init; } = [];

    /// <summary>Its host name; null for the sandbox's.</summary>
    public string? Hostname { get; init; }

    /// <summary>Most memory in bytes; null for what the guest has.</summary>
    public long? MemoryBytes { get; init; }

    /// <summary>It may do everything in its guest that root may there: all capabilities, no hidden paths.</summary>
    public bool Privileged { get; init; }
}
