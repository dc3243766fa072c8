namespace Cnvm.Arch.Cpuid;

/// <content>What a profile leaves of the host's CPUID.</content>
public static partial class CpuidModel
{
    private const uint KvmSignature = 0x4000_0000;
    private const uint KvmFeatures = 0x4000_0001;
    private const uint HypervisorFrequencies = 0x4000_0010;
    private const uint TscFrequency = 0x15;
    private const uint LastKnownBasic = 0xd;
    private const uint LastKnownExtended = 0x8000_001e;

    /// <summary>Features that a profile demands and the host lacks; empty when a guest with the profile can start here.</summary>
    public static IReadOnlyList<CpuFeature> MissingFor(CpuModelProfile profile, CpuidTable supported)
    {
        ArgumentNullException.ThrowIfNull(profile);
        List<CpuidEntry> demanded = [];
        foreach (var group in profile.Cpuid.GroupBy(m => (m.Leaf, m.Subleaf)))
        {
            var entry = new CpuidEntry { Leaf = group.Key.Leaf, Subleaf = group.Key.Subleaf, HasSubleaf = true };
            demanded.Add(group.Aggregate(entry, (e, m) => With(e, m.Register, CpuFeature.Get(e, m.Register) | (uint)m.Mask.Value)));
        }

        return CpuFeature.Missing(new CpuidTable(demanded), supported);
    }

    private static void ApplyProfile(CpuidDraft draft, CpuModelProfile profile)
    {
        if (profile.KnownLeavesOnly)
        {
            draft.Remove(e => !IsKnown(e.Leaf) || (e.Leaf == CpuidLeaf.ExtendedFeatures && e.Subleaf > 0));
            draft.Change(CpuidLeaf.Vendor, e => e with { Eax = Math.Min(e.Eax, LastKnownBasic) });
            draft.Change(CpuidLeaf.ExtendedMax, e => e with { Eax = Math.Min(e.Eax, LastKnownExtended) });
            draft.Change(KvmSignature, e => e with { Eax = KvmFeatures });
        }

        foreach (CpuidModifier modifier in profile.Cpuid)
        {
            if (draft.TryGet(modifier.Leaf, modifier.Subleaf, out CpuidEntry entry))
            {
                uint value = (uint)modifier.Mask.ApplyTo(CpuFeature.Get(entry, modifier.Register));
                draft.Set(With(entry, modifier.Register, value));
            }
        }

        if (profile.TscKhz != 0)
        {
            draft.Change(HypervisorFrequencies, e => e with { Eax = profile.TscKhz });

            // It has ratios of the host's crystal.
            draft.Remove(TscFrequency);
        }
    }

    /// <summary>Identity, features, caches, topology, state components, clock, address sizes.</summary>
    private static bool IsKnown(uint leaf) => leaf is 0 or 1 or 2 or 4 or 6 or 7 or 0xb or 0xd or KvmSignature or KvmFeatures
        or (>= 0x8000_0000 and <= 0x8000_0008) or 0x8000_001d or 0x8000_001e;

    private static CpuidEntry With(CpuidEntry e, CpuidRegister register, uint value) => register switch
    {
        CpuidRegister.Eax => e with { Eax = value },
        CpuidRegister.Ebx => e with { Ebx = value },
        CpuidRegister.Ecx => e with { Ecx = value },
        _ => e with { Edx = value },
    };
}
