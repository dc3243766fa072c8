using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Snapshot;

/// <summary>The body of <c>vm.snapshot</c>.</summary>
/// <param name="DestinationUrl"><c>file:///FOLDER</c>, an existing folder without a snapshot.</param>
public sealed record SnapshotConfig([property: JsonRequired] string DestinationUrl = "");
