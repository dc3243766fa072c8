namespace Cnvm.Sandbox.Images;

/// <summary>An image whose files lie unpacked in a folder.</summary>
/// <param name="Rootfs">The folder. One of the store is shared by all containers of the image: nobody writes there.</param>
/// <param name="Config">How it is run; empty for a folder that was given as it is.</param>
/// <param name="IsShared">It belongs to the store.</param>
public sealed record ContainerImage(string Rootfs, ImageConfig Config, bool IsShared);
