using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A NUMA node of the guest.</summary>
public sealed record NumaConfig(
    [property: JsonRequired] uint GuestNumaId = 0,
    IReadOnlyList<uint>? Cpus = null,
    IReadOnlyList<NumaDistance>? Distances = null,
    IReadOnlyList<string>? MemoryZones = null,
    IReadOnlyList<ushort>? PciSegments = null,
    string? DeviceId = null);
