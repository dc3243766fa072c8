using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>A passed-through device that gets a new descriptor.</summary>
public sealed record RestoredVfio([property: JsonRequired] string Id = "");
