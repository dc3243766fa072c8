using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Cpus;

namespace Cnvm.Vmm.Migration;

/// <summary>Model-specific registers of the guest that the target must have.</summary>
internal sealed record MsrOffers(IReadOnlyList<HeldMsr> Msrs)
{
    // A hypervisor has a few hundred.
    private const int Most = 4096;

    public static MsrOffers Describe(StateVisitor v, MsrOffers? o)
    {
        HeldMsr[] msrs = v.List<HeldMsr>(1, "msrs", o?.Msrs, Msr);
        v.Require(msrs.Length <= Most, $"{msrs.Length} MSRs; {Most} are possible");
        return new MsrOffers(msrs);
    }

    private static HeldMsr Msr(StateVisitor v, HeldMsr? m)
    {
        uint vcpu = v.U32(1, "vcpu", m?.Vcpu);
        return new HeldMsr(vcpu, v.U32(2, "index", m?.Index), v.U64(3, "value", m?.Value));
    }
}
