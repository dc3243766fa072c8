using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The vCPUs.</summary>
/// <param name="BootVcpus">vCPUs present at boot.</param>
/// <param name="MaxVcpus">vCPUs that may ever be present; if more than <paramref name="BootVcpus"/>, they come and go while the guest runs (vm.resize).</param>
/// <param name="MaxPhysBits">Upper limit of the guest's physical address width; the host's own width limits it too.</param>
/// <param name="Nested">The guest may use VMX or SVM if the host lets it.</param>
/// <param name="Affinity">Host CPUs that a vCPU may run on; vCPUs not listed run anywhere.</param>
/// <param name="Profile">Name of a CPU profile, or path of a file with one.</param>
public sealed record CpusConfig(
    [property: JsonRequired] uint BootVcpus = 1,
    [property: JsonRequired] uint MaxVcpus = 1,
    CpuTopology? Topology = null,
    bool KvmHyperv = false,
    byte MaxPhysBits = CpusConfig.DefaultMaxPhysBits,
    IReadOnlyList<CpuAffinity>? Affinity = null,
    CpuFeatures? Features = null,
    bool Nested = true,
    CoreScheduling CoreScheduling = CoreScheduling.Vm,
    string Profile = CpusConfig.HostProfile)
{
    public const byte DefaultMaxPhysBits = 46;

    /// <summary>The profile of the host's own processor.</summary>
    public const string HostProfile = "Host";

    public CpuFeatures Features { get; init; } = Features ?? new();

    /// <summary>Name of a profile that is made from the host's own processor, for guests to be known by.</summary>
    internal static string HostProfileNamed(string name) => $"{HostProfile}/{name}";

    /// <summary>Whether a guest of this profile has seen the processor of its first host, whatever was taken from it.</summary>
    internal static bool IsHostProfile(string name) => name == HostProfile || name.StartsWith(HostProfileNamed(""), StringComparison.Ordinal);
}
