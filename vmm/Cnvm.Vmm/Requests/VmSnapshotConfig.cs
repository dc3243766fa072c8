using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>The body of <c>vm.snapshot</c>.</summary>
/// <param name="DestinationUrl"><c>file://</c> and an existing directory.</param>
public sealed record VmSnapshotConfig([property: JsonRequired] string DestinationUrl = "");
