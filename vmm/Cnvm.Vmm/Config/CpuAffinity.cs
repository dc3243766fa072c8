using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The host CPUs that one vCPU may run on.</summary>
public sealed record CpuAffinity([property: JsonRequired] uint Vcpu = 0, IReadOnlyList<uint>? HostCpus = null)
{
    [JsonRequired]
    public IReadOnlyList<uint> HostCpus { get; init; } = HostCpus ?? [];
}
