using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.State;
using Cnvm.Vmm.Config;

namespace Cnvm.Vmm.Cpus;

/// <summary>Finds the CPU profile that a configuration names, and checks that the host can show it.</summary>
public static class CpuProfileSource
{
    /// <summary>Whether <c>features=</c> takes this word: a feature's name, perhaps with a minus sign before it.</summary>
    public static bool IsFeature(string word)
    {
        ArgumentNullException.ThrowIfNull(word);
        return CpuFeature.TryGet(word.TrimStart('-'), out _);
    }

    /// <summary>The profile with the extra features of the configuration.</summary>
    /// <exception cref="MachineBuildException">There is no such profile or feature.</exception>
    public static CpuModelProfile Load(CpusConfig cpus)
    {
        ArgumentNullException.ThrowIfNull(cpus);
        if (!CpuModelProfiles.TryGet(cpus.Profile, out CpuModelProfile profile))
        {
            profile = File.Exists(cpus.Profile)
                ? CpuProfileFile.Read(cpus.Profile)
                : throw new MachineBuildException(
                    $"cpus.profile: '{cpus.Profile}' is neither a file nor one of {string.Join(", ", CpuModelProfiles.Names)}");
        }

        List<CpuidModifier> extra = [];
        foreach (string word in cpus.Features.Extra ?? [])
        {
            if (!CpuFeature.TryGet(word.TrimStart('-'), out CpuFeature f))
            {
                throw new MachineBuildException($"cpus.features: there is no feature '{word}'");
            }

            ulong bit = 1UL << f.Bit;
            extra.Add(new CpuidModifier(f.Leaf, f.Subleaf, f.Register, new TriStateMask(bit, word.StartsWith('-') ? 0 : bit)));
        }

        return profile with { Cpuid = [.. profile.Cpuid, .. extra] };
    }

    /// <summary>A vCPU's reset state with the MSRs that the profile sets.</summary>
    /// <exception cref="MachineBuildException">The hypervisor has no such register.</exception>
    internal static VcpuState WithMsrs(VcpuState vcpu, CpuModelProfile profile)
    {
        var msrs = vcpu.Msrs.ToBuilder();
        foreach (MsrModifier modifier in profile.Msrs)
        {
            int at = 0;
            while (at < msrs.Count && msrs[at].Index != modifier.Index)
            {
                at++;
            }

            if (at == msrs.Count)
            {
                throw new MachineBuildException($"cpus.profile {profile.Name}: this host has no MSR 0x{modifier.Index:x}");
            }

            msrs[at] = msrs[at] with { Value = modifier.Mask.ApplyTo(msrs[at].Value) };
        }

        return vcpu with { Msrs = msrs.ToImmutable() };
    }

    /// <summary>Refuses, with every feature by its name, a profile that the host cannot show.</summary>
    /// <exception cref="MachineBuildException">The host lacks something.</exception>
    public static void ThrowIfMissing(CpuModelProfile profile, IHypervisor hypervisor)
    {
        ArgumentNullException.ThrowIfNull(profile);
        ArgumentNullException.ThrowIfNull(hypervisor);
        IReadOnlyList<CpuFeature> missing = CpuidModel.MissingFor(profile, hypervisor.SupportedCpuid);
        if (missing.Count > 0)
        {
            throw new MachineBuildException(
                $"cpus.profile {profile.Name}: {hypervisor.Name} on this host lacks {string.Join(", ", missing.Select(f => f.Name))}");
        }
    }
}
