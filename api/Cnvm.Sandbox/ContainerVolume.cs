namespace Cnvm.Sandbox;

/// <summary>A file or folder of the host in a container.</summary>
/// <param name="HostPath">A folder of <see cref="SandboxOptions.Folders"/>, or any file or folder if this process may mount (root).</param>
/// <param name="GuestPath">Absolute path in the container; made if it is missing.</param>
/// <param name="ReadOnly">The container cannot change anything there.</param>
public sealed record ContainerVolume(string HostPath, string GuestPath, bool ReadOnly = false);
