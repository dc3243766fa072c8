namespace Cnvm.Nested;

/// <summary>A raw disk image of the build machine as a virtio disk of the nested host.</summary>
/// <param name="Path">The image.</param>
/// <param name="Snapshot">True: writes are thrown away at the end. False: they go to the image.</param>
public sealed record NestedHostDrive(string Path, bool Snapshot = true);
