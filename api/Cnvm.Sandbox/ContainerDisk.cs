namespace Cnvm.Sandbox;

/// <summary>
/// A file system on a disk that a container has for itself: a raw image or a block device of the host, which comes into the sandbox with the container and goes
/// with it. The guest's kernel reads the file system, and not the host's. Once the container is removed the guest gives the disk up; then
/// <see cref="SandboxVm.Happened"/> tells of the event <c>device-removed</c>, and others can have it.
/// </summary>
/// <param name="HostPath">The image or block device. Nobody else may write to it meanwhile, or read it unless it is read-only here.</param>
/// <param name="GuestPath">Absolute path in the container; made if it is missing.</param>
/// <param name="ReadOnly">The guest cannot change anything on it.</param>
public sealed record ContainerDisk(string HostPath, string GuestPath, bool ReadOnly = false)
{
    /// <summary>What the guest's kernel is to find on it: <c>ext4</c> or <c>squashfs</c> with cnvm's own.</summary>
    public string FileSystem { get; init; } = "ext4";
}
