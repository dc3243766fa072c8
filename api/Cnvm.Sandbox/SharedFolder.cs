namespace Cnvm.Sandbox;

/// <summary>A folder of the host that a guest has by virtio-fs.</summary>
/// <param name="Path">The folder.</param>
/// <param name="ReadOnly">The guest cannot change anything there.</param>
public sealed record SharedFolder(string Path, bool ReadOnly);
