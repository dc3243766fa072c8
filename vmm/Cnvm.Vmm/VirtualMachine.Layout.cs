using Cnvm.Arch.Machine;
using Cnvm.Vmm.Config;
using CpuTopology = Cnvm.Arch.Machine.CpuTopology;
using Profile = Cnvm.Arch.Machine.MachineProfile;

namespace Cnvm.Vmm;

/// <content>Where things are, as the configuration says.</content>
internal sealed partial class VirtualMachine
{
    /// <param name="bits">Width of the guest's physical addresses.</param>
    private static PhysicalLayout PlanLayout(VmConfig config, int bits)
    {
        Profile profile = config.EffectiveProfile == Config.MachineProfile.Cloud ? Profile.Cloud
            : UsesAcpi(config) ? Profile.MicrovmAcpi : Profile.Microvm;
        var weights = new PciSegmentWeights[config.PciSegmentCount];
        Array.Fill(weights, PciSegmentWeights.Equal);
        foreach (PciSegmentConfig segment in config.PciSegments ?? [])
        {
            weights[segment.PciSegment] = new PciSegmentWeights(segment.Mmio32ApertureWeight, segment.Mmio64ApertureWeight);
        }

        return PhysicalLayout.Plan(profile, config.Memory.MappedBytes, bits, config.Memory.HotplugWindow, weights);
    }

    /// <summary>
    /// Whether the guest's kernel will look at ACPI tables (kernel-parameters: acpi=off). Where it does not, virtio-mmio transports need
    /// interrupts that it knows without them.
    /// </summary>
    private static bool UsesAcpi(VmConfig config) => config.Payload?.Cmdline?.Split(' ').Contains("acpi=off") is not true;

    private static CpuTopology Topology(CpusConfig cpus) => cpus.Topology is { } t
        ? CpuTopology.Create(t.ThreadsPerCore, t.CoresPerDie, t.DiesPerPackage, t.Packages, (int)cpus.MaxVcpus)
        : CpuTopology.Flat((int)cpus.MaxVcpus);
}
