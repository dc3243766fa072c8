using Cnvm.Hypervisor.State;

namespace Cnvm.Vmm.Vcpus;

/// <summary>The first state of a vCPU that joins others.</summary>
internal static class PluggedVcpu
{
    private const uint TimeStampCounter = 0x10;

    /// <summary>
    /// A vCPU as it was created, with the TSC of the first one and with what that one says of the processor: after a restore or a migration
    /// these registers have another host's values, and a guest relies on them to be the same on all of its processors.
    /// </summary>
    /// <param name="created">As the hypervisor made it.</param>
    /// <param name="first">The first vCPU's state, a moment ago.</param>
    public static VcpuState Join(VcpuState created, VcpuState first)
    {
        var msrs = created.Msrs.ToBuilder();
        for (int i = 0; i < msrs.Count; i++)
        {
            if (IsOfTheProcessor(msrs[i].Index))
            {
                foreach (MsrValue msr in first.Msrs)
                {
                    msrs[i] = msr.Index == msrs[i].Index ? msr : msrs[i];
                }
            }
        }

        return created with { Msrs = msrs.DrainToImmutable(), TscKhz = first.TscKhz, TscTimestamp = first.TscTimestamp };
    }

    // Platform id, FEATURE_CONTROL, microcode revision, platform info, core and architectural capabilities, MISC_ENABLE, VMX
    // capabilities (SDM vol. 4).
    private static bool IsOfTheProcessor(uint index) =>
        index is TimeStampCounter or 0x17 or 0x3a or 0x8b or 0xce or 0xcf or 0x10a or 0x1a0 or (>= 0x480 and <= 0x493);
}
