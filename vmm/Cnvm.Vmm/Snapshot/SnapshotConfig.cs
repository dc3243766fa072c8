using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Snapshot;

/// <summary>The body of <c>vm.snapshot</c>.</summary>
/// <param name="DestinationUrl"><c>file:///FOLDER</c>, an existing folder without a snapshot.</param>
/// <param name="TrackChanges">cnvm's own: from now on what changes is recorded, so that the next snapshot can be a difference to this one.</param>
/// <param name="Incremental">cnvm's own: only what changed since the last snapshot, which had <paramref name="TrackChanges"/> or was one itself.</param>
public sealed record SnapshotConfig(
    [property: JsonRequired] string DestinationUrl = "", bool TrackChanges = false, bool Incremental = false);
