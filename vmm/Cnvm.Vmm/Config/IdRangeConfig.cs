using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>Users, or groups, of a shared folder that have other numbers on the host than in the guest.</summary>
/// <param name="Guest">The first as the guest calls it.</param>
/// <param name="Host">The same one on the host.</param>
/// <param name="Count">How many follow one another.</param>
public sealed record IdRangeConfig(
    [property: JsonRequired] uint Guest = 0, [property: JsonRequired] uint Host = 0, [property: JsonRequired] uint Count = 0);
