using System.Globalization;
using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.State;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Cpus;

/// <summary>What a guest was promised, against what a host can keep. Needs no memory contents and changes nothing.</summary>
public static class GuestContract
{
    private const uint AddressSizes = 0x8000_0008;
    private const uint XsaveLeaf = 0xd;

    /// <summary>Everything that keeps the guest from running there, by name; empty when nothing does.</summary>
    public static IReadOnlyList<string> Obstacles(MachineState guest, HostCapabilities host)
    {
        ArgumentNullException.ThrowIfNull(guest);
        return Obstacles(GuestPromise.Of(guest), HeldMsr.Of(guest.Vcpus), host);
    }

    /// <summary>The same of a guest that runs.</summary>
    /// <param name="msrs">Registers of its own that must be there; empty if nobody knows.</param>
    public static IReadOnlyList<string> Obstacles(GuestPromise guest, IReadOnlyList<HeldMsr> msrs, HostCapabilities host)
    {
        ArgumentNullException.ThrowIfNull(guest);
        ArgumentNullException.ThrowIfNull(msrs);
        ArgumentNullException.ThrowIfNull(host);
        var obstacles = new List<string>();
        if (guest.Vcpus > host.MaxVcpus)
        {
            obstacles.Add($"vCPUs: the guest has {guest.Vcpus}, {host.Hypervisor} there runs at most {host.MaxVcpus}");
        }

        CpuidTable shown = guest.Cpuid;
        foreach (CpuFeature feature in CpuFeature.Missing(shown, host.Cpuid))
        {
            obstacles.Add($"CPU feature {feature.Name}: the guest was shown it, the host lacks it");
        }

        CheckVendor(obstacles, guest, host, shown);
        CheckAddresses(obstacles, host, shown);
        CheckComponents(obstacles, host, shown);
        CheckTsc(obstacles, host, guest.TscKhz);
        CheckMsrs(obstacles, host, msrs);
        return obstacles;
    }

    private static void CheckVendor(List<string> obstacles, GuestPromise guest, HostCapabilities host, CpuidTable shown)
    {
        // A guest with a profile was made to do without a vendor's own ways, unless the profile is made from the host's processor.
        if (CpusConfig.IsHostProfile(guest.CpuProfile) && shown.TryGet(0, 0, out CpuidEntry theirs) && host.Cpuid.TryGet(0, 0, out CpuidEntry ours)
            && (theirs.Ebx, theirs.Ecx, theirs.Edx) != (ours.Ebx, ours.Ecx, ours.Edx))
        {
            obstacles.Add($"CPU vendor: the guest has profile {guest.CpuProfile} and was shown another vendor's processor");
        }
    }

    private static void CheckAddresses(List<string> obstacles, HostCapabilities host, CpuidTable shown)
    {
        if (shown.TryGet(AddressSizes, 0, out CpuidEntry sizes) && (sizes.Eax & 0xff) > host.PhysicalAddressBits)
        {
            obstacles.Add($"physical address bits: the guest was shown {sizes.Eax & 0xff}, the host has {host.PhysicalAddressBits}");
        }
    }

    private static void CheckComponents(List<string> obstacles, HostCapabilities host, CpuidTable shown)
    {
        foreach (CpuidEntry e in shown)
        {
            if (e.Leaf == XsaveLeaf && e.Subleaf >= 2 && host.Cpuid.TryGet(XsaveLeaf, e.Subleaf, out CpuidEntry ours)
                && (ours.Eax, ours.Ebx) != (e.Eax, e.Ebx))
            {
                // The areas in the guest's memory stay as they are, and the processor looks for a component where its own CPUID says.
                obstacles.Add(
                    $"XSAVE component {e.Subleaf}: the guest was shown {e.Eax} bytes at {e.Ebx}, the host has {ours.Eax} at {ours.Ebx}");
            }
        }
    }

    private static void CheckMsrs(List<string> obstacles, HostCapabilities host, IReadOnlyList<HeldMsr> msrs)
    {
        if (host.Msrs.Count == 0)
        {
            return;
        }

        foreach (HeldMsr msr in msrs)
        {
            if (!host.Msrs.Contains(msr.Index))
            {
                obstacles.Add($"MSR 0x{msr.Index:x}: vCPU {msr.Vcpu} of the guest has 0x{msr.Value:x} in it, {host.Hypervisor} there lacks it");
            }
        }
    }

    private static void CheckTsc(List<string> obstacles, HostCapabilities host, uint khz)
    {
        if (!host.TscScaling && khz != 0 && host.TscKhz != 0 && !TscTolerance.Covers(khz, host.TscKhz))
        {
            obstacles.Add(string.Create(
                CultureInfo.InvariantCulture,
                $"TSC frequency: the guest's runs at {khz} kHz, the host's at {host.TscKhz} kHz, and the host cannot scale it"));
        }
    }
}
