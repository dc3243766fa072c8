using Cnvm.Hypervisor.State;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Cpus;

/// <summary>A model-specific register that holds something, which must be there wherever the guest goes on.</summary>
/// <param name="Vcpu">Index of the first vCPU in which it does.</param>
/// <param name="Index">The register's number.</param>
/// <param name="Value">What it holds there.</param>
public sealed record HeldMsr(uint Vcpu, uint Index, ulong Value)
{
    /// <summary>Each once. A register that holds nothing, or that a host may do without, is none.</summary>
    public static IReadOnlyList<HeldMsr> Of(IReadOnlyList<VcpuSlotState> vcpus)
    {
        ArgumentNullException.ThrowIfNull(vcpus);
        var held = new List<HeldMsr>();
        var named = new HashSet<uint>();
        foreach (VcpuSlotState vcpu in vcpus)
        {
            foreach (MsrValue msr in vcpu.State.Msrs)
            {
                if (msr.Policy == MsrPolicy.Preserve && msr.Value != 0 && named.Add(msr.Index))
                {
                    held.Add(new HeldMsr(vcpu.Index, msr.Index, msr.Value));
                }
            }
        }

        return held;
    }
}
