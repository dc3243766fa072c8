using Cnvm.Hypervisor;
using Cnvm.Vmm;

namespace Cnvm.VmmProgram;

/// <summary>The one place that chooses a hypervisor.</summary>
internal static class VmmBackend
{
    public static IVmm Create(VmmOptions options, VmmThread thread) => new UnavailableVmm(options);

    public static IHypervisor OpenHypervisor() => throw UnavailableVmm.Unavailable();
}
