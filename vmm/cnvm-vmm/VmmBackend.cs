using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Kvm;
using Microsoft.Extensions.Logging;

namespace Cnvm.VmmProgram;

/// <summary>The one place that chooses a hypervisor.</summary>
internal static class VmmBackend
{
    /// <exception cref="HypervisorException">This host has none that can be used; the message says why.</exception>
    public static IHypervisor OpenHypervisor(ILoggerFactory logging) => KvmHypervisor.Open(logger: logging.CreateLogger("kvm"));
}
