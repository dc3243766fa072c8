using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Cpuid;

/// <summary>
/// Makes the CPUID that a guest is shown out of what the hypervisor supports. A pure function: the same input gives the same table, and
/// bits that a processor changes at run time (OSXSAVE, OSPKE) are clear in it.
/// </summary>
public static partial class CpuidModel
{
    private const int BrandLength = 48;
    private const int DefaultPhysicalBits = 36;

    /// <summary>Physical address bits that a guest can be shown: the host's, at most <paramref name="limit"/>.</summary>
    public static int PhysicalBits(CpuidTable supported, int limit)
    {
        var bits = supported.TryGet(CpuidLeaf.AddressSizes, 0, out var sizes) ? (int)(sizes.Eax & 0xFF) : DefaultPhysicalBits;
        return Math.Min(bits, limit);
    }

    /// <summary>The CPUID of one vCPU.</summary>
    /// <param name="supported">
    /// What the hypervisor can show (for KVM: KVM_GET_SUPPORTED_CPUID). Its leaves from 0x40000000 are kept.
    /// </param>
    /// <param name="config">What the guest is to see.</param>
    /// <param name="vcpu">Index of the vCPU.</param>
    /// <exception cref="MachineLayoutException">The topology needs x2APIC and the guest is not to have it, or the brand is not
    /// presentable.</exception>
    public static CpuidTable Build(CpuidTable supported, CpuidConfig config, int vcpu)
    {
        var topology = config.Topology;
        var apicId = topology.ApicIdOf(vcpu);
        if (!config.X2Apic && topology.ApicIdOf(topology.Count - 1) >= 255)
        {
            throw new MachineLayoutException($"{topology.Count} vCPUs need APIC ids above 254, and so x2APIC, which is switched off.");
        }

        var draft = new CpuidDraft(supported);
        ApplyMasks(draft, config.Masks);
        ApplyProfile(draft, config.Profile);
        ApplyFeatures(draft, config, topology, apicId);
        ApplyXsave(draft);
        ApplyCaches(draft, topology);
        ApplyTopology(draft, topology, apicId);
        ApplyAddressSizes(draft, config, topology);
        if (config.BrandString is { } brand)
        {
            ApplyBrand(draft, brand);
        }

        return draft.ToTable();
    }

    private static bool IsAmd(CpuidDraft draft) =>
        draft.TryGet(CpuidLeaf.Vendor, 0, out var vendor)
        && (vendor.Ebx, vendor.Edx, vendor.Ecx) is (0x6874_7541, 0x6974_6E65, 0x444D_4163) // AuthenticAMD
            or (0x6F67_7948, 0x6E65_476E, 0x656E_6975); // HygonGenuine

    private static void ApplyMasks(CpuidDraft draft, IReadOnlyList<CpuidMask> masks)
    {
        foreach (var mask in masks)
        {
            if (draft.TryGet(mask.Leaf, mask.Subleaf, out var entry))
            {
                draft.Set(entry with
                {
                    Eax = entry.Eax & ~mask.Eax,
                    Ebx = entry.Ebx & ~mask.Ebx,
                    Ecx = entry.Ecx & ~mask.Ecx,
                    Edx = entry.Edx & ~mask.Edx,
                });
            }
        }
    }

    private static void ApplyFeatures(CpuidDraft draft, CpuidConfig config, CpuTopology topology, uint apicId)
    {
        // Initial APIC id 31:24, addressable ids of a package 23:16, CLFLUSH and brand index kept.
        var logical = Math.Min(BitOperations.RoundUpToPowerOf2((uint)topology.ThreadsPerPackage), 255);
        draft.Change(CpuidLeaf.Features, e => e with
        {
            Ebx = (e.Ebx & 0xFFFF) | (logical << 16) | (apicId << 24),
            Ecx = (With(With(e.Ecx, CpuidLeaf.Ecx1X2Apic, config.X2Apic), CpuidLeaf.Ecx1TscDeadline, config.TscDeadline)
                    & ~CpuidLeaf.Ecx1OsXsave
                    & Unless(config.Nested, CpuidLeaf.Ecx1Vmx)
                    & Unless(config.Pmu, CpuidLeaf.Ecx1Pdcm))
                | CpuidLeaf.Ecx1Hypervisor,
            Edx = With(e.Edx, CpuidLeaf.Edx1Htt, topology.ThreadsPerPackage > 1),
        });
        draft.Change(CpuidLeaf.ExtendedFeatures, e => e.Subleaf != 0 ? e : e with
        {
            // SGX needs enclave memory, which no machine here has.
            Ebx = e.Ebx & ~CpuidLeaf.Ebx7Sgx,
            Ecx = e.Ecx & ~(CpuidLeaf.Ecx7OsPke | CpuidLeaf.Ecx7SgxLaunchControl),
            Edx = e.Edx & Unless(config.Amx, CpuidLeaf.Edx7AmxBf16 | CpuidLeaf.Edx7AmxTile | CpuidLeaf.Edx7AmxInt8),
        });
        draft.Remove(CpuidLeaf.Sgx);
        draft.Remove(CpuidLeaf.MemoryEncryption);
        if (!config.Amx)
        {
            draft.Remove(CpuidLeaf.AmxTiles);
            draft.Remove(CpuidLeaf.AmxMultiply);
        }

        draft.Change(CpuidLeaf.AmdFeatures, e => e with
        {
            Ecx = With(e.Ecx, CpuidLeaf.EcxAmdCmpLegacy, IsAmd(draft) && topology.ThreadsPerPackage > 1)
                & Unless(config.Nested, CpuidLeaf.EcxAmdSvm)
                & Unless(config.Pmu, CpuidLeaf.EcxAmdPerfCounters | CpuidLeaf.EcxAmdPerfCountersNb | CpuidLeaf.EcxAmdPerfCountersLlc),
        });
        if (!config.Nested)
        {
            draft.Remove(CpuidLeaf.Svm);
        }

        if (!config.Pmu)
        {
            draft.Change(CpuidLeaf.Performance, e => new CpuidEntry { Leaf = e.Leaf, Subleaf = e.Subleaf, HasSubleaf = e.HasSubleaf });
            draft.Remove(CpuidLeaf.AmdPerformance);
        }
    }

    private static void ApplyAddressSizes(CpuidDraft draft, CpuidConfig config, CpuTopology topology)
    {
        var amd = IsAmd(draft);
        draft.Change(CpuidLeaf.AddressSizes, e => e with
        {
            // Physical bits 7:0; the guest physical size 23:16 stays 0, "the same".
            Eax = (e.Eax & 0xFF00) | (uint)config.PhysicalBits,

            // AMD: threads of a package minus one, and the bits of the APIC id that number them.
            Ecx = amd
                ? (uint)Math.Min(topology.ThreadsPerPackage - 1, 255) | ((uint)Math.Min(topology.PackageShift, 15) << 12)
                : 0,
        });
    }

    private static void ApplyBrand(CpuidDraft draft, string brand)
    {
        if (brand.Length >= BrandLength || brand.AsSpan().ContainsAnyExceptInRange(' ', '~'))
        {
            throw new MachineLayoutException($"The processor brand '{brand}' is not possible: at most {BrandLength - 1} "
                + "printable ASCII characters.");
        }

        var bytes = new byte[BrandLength];
        Encoding.ASCII.GetBytes(brand, bytes);
        for (var i = 0; i < 3; i++)
        {
            var part = bytes.AsSpan(i * 16, 16);
            draft.Set(new CpuidEntry
            {
                Leaf = CpuidLeaf.Brand + (uint)i,
                Eax = BinaryPrimitives.ReadUInt32LittleEndian(part),
                Ebx = BinaryPrimitives.ReadUInt32LittleEndian(part[4..]),
                Ecx = BinaryPrimitives.ReadUInt32LittleEndian(part[8..]),
                Edx = BinaryPrimitives.ReadUInt32LittleEndian(part[12..]),
            });
        }

        RaiseMaximum(draft, CpuidLeaf.ExtendedMax, CpuidLeaf.Brand + 2);
    }

    private static void RaiseMaximum(CpuidDraft draft, uint leaf, uint least)
    {
        if (draft.TryGet(leaf, 0, out var entry))
        {
            draft.Set(entry with { Eax = Math.Max(entry.Eax, least) });
        }
    }

    private static uint With(uint value, uint bit, bool set) => set ? value | bit : value & ~bit;

    /// <summary>A mask that clears <paramref name="bits"/> unless they are wanted.</summary>
    private static uint Unless(bool wanted, uint bits) => wanted ? uint.MaxValue : ~bits;
}
