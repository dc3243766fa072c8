using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>How far another NUMA node is (ACPI SLIT units, 10 is local).</summary>
public sealed record NumaDistance([property: JsonRequired] uint Destination = 0, [property: JsonRequired] byte Distance = 0);
