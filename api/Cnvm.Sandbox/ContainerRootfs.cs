namespace Cnvm.Sandbox;

/// <summary>The root file system of a container.</summary>
/// <param name="Path">
/// Folder of the host. One of <see cref="SandboxOptions.Folders"/> is used from there; any other is bind mounted into the shared folder,
/// which needs root.
/// </param>
/// <param name="Access">What becomes of what the container writes.</param>
public sealed record ContainerRootfs(string Path, RootfsAccess Access = RootfsAccess.Overlay);
