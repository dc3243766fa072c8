using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>Where a disk of a VM that arrives is on this host.</summary>
/// <param name="Id">The disk's name in the configuration of the VM.</param>
/// <param name="Path">File that takes the place of the configured one.</param>
/// <param name="Overwrite">A file that is there may be replaced by the disk that comes along, once the VM has arrived.</param>
public sealed record DiskPlacement(
    [property: JsonRequired] string Id = "",
    [property: JsonRequired] string Path = "",
    bool Overwrite = false);
