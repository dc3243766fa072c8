using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Snapshot;

/// <summary>Another host NUMA node for a memory zone of a restored VM.</summary>
public sealed record ZoneUpdateConfig([property: JsonRequired] string Id = "", uint? HostNumaNode = null);
