using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>The body of <c>vm.snapshot</c>.</summary>
/// <param name="DestinationUrl"><c>file://</c> and an existing directory without a snapshot.</param>
/// <param name="TrackChanges">cnvm's own: from now on what changes is recorded, so that the next snapshot can be a difference to this one.</param>
/// <param name="Incremental">cnvm's own: only what changed since the last snapshot, which had <paramref name="TrackChanges"/> or was one itself.</param>
/// <param name="Compress">cnvm's own: memory is compressed by Zstandard; it is restored by Copy only.</param>
/// <param name="Disks">cnvm's own: copies of the images of all writable disks, which must lie in files, are part of the snapshot.</param>
public sealed record VmSnapshotConfig(
    [property: JsonRequired] string DestinationUrl = "", bool TrackChanges = false, bool Incremental = false, bool Compress = false,
    bool Disks = false);
