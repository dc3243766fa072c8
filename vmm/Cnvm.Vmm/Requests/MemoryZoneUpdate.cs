using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>A memory zone that is bound to another host NUMA node than it was.</summary>
public sealed record MemoryZoneUpdate([property: JsonRequired] string Id = "", [property: JsonRequired] uint HostNumaNode = 0);
