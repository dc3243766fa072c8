namespace Cnvm.Bench.Machines;

/// <summary>A folder of the host that a guest mounts by virtio-fs.</summary>
/// <param name="Tag">What the guest mounts.</param>
/// <param name="Folder">The folder.</param>
/// <param name="Socket">Where a file server of its own has it, for a VMM that has none inside.</param>
internal sealed record FolderShare(string Tag, string Folder, string Socket);
