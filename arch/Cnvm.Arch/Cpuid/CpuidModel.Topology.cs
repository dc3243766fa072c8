using System.Numerics;
using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Cpuid;

/// <content>Leaves that say how vCPUs are grouped and what they share.</content>
public static partial class CpuidModel
{
    private const uint LevelThread = 1;
    private const uint LevelCore = 2;
    private const uint LevelDie = 5;

    /// <summary>The CPUID of another vCPU of the same machine.</summary>
    /// <param name="shown">What any vCPU of it is shown.</param>
    /// <param name="topology">The machine's, which the table says already.</param>
    /// <param name="vcpu">Index of the other vCPU.</param>
    public static CpuidTable ForVcpu(CpuidTable shown, CpuTopology topology, int vcpu)
    {
        ArgumentNullException.ThrowIfNull(topology);
        var apicId = topology.ApicIdOf(vcpu);
        var draft = new CpuidDraft(shown);
        draft.Change(CpuidLeaf.Features, e => e with { Ebx = (e.Ebx & 0xFF_FFFF) | (apicId << 24) });
        foreach (var leaf in new[] { CpuidLeaf.Topology, CpuidLeaf.TopologyV2, CpuidLeaf.AmdTopologyV2 })
        {
            draft.Change(leaf, e => e with { Edx = apicId });
        }

        ApplyAmdTopology(draft, topology, apicId);
        return draft.ToTable();
    }

    /// <summary>Sharing of caches: the first two levels belong to a core, the last to a die.</summary>
    private static void ApplyCaches(CpuidDraft draft, CpuTopology topology)
    {
        var perCore = BitOperations.RoundUpToPowerOf2((uint)topology.ThreadsPerCore);
        var perDie = 1u << topology.DieShift;

        // Addressable core numbers of a package, 31:26, in six bits.
        var cores = Math.Min(1u << (topology.PackageShift - topology.CoreShift), 64);
        foreach (var leaf in new[] { CpuidLeaf.Caches, CpuidLeaf.AmdCaches })
        {
            draft.Change(leaf, e =>
            {
                var type = e.Eax & 0x1F;
                if (type == 0)
                {
                    return e; // the end of the list
                }

                var level = (e.Eax >> 5) & 0x7;
                var sharing = Math.Min(level < 3 ? perCore : perDie, 4096);
                var eax = (e.Eax & 0x3FFF) | ((sharing - 1) << 14);
                return e with { Eax = leaf == CpuidLeaf.Caches ? eax | ((cores - 1) << 26) : eax };
            });
        }
    }

    private static void ApplyTopology(CpuidDraft draft, CpuTopology topology, uint apicId)
    {
        draft.Remove(CpuidLeaf.Topology);
        draft.Remove(CpuidLeaf.TopologyV2);
        draft.Remove(CpuidLeaf.AmdTopologyV2);

        // Leaf 0xB knows threads and cores; its core level reaches up to the package.
        SetLevel(draft, CpuidLeaf.Topology, 0, LevelThread, topology.CoreShift, topology.ThreadsPerCore, apicId);
        SetLevel(draft, CpuidLeaf.Topology, 1, LevelCore, topology.PackageShift, topology.ThreadsPerPackage, apicId);
        SetLevel(draft, CpuidLeaf.Topology, 2, 0, 0, 0, apicId);
        RaiseMaximum(draft, CpuidLeaf.Vendor, CpuidLeaf.Topology);

        // Leaf 0x1F is there for the die level.
        if (topology.DiesPerPackage > 1)
        {
            SetLevel(draft, CpuidLeaf.TopologyV2, 0, LevelThread, topology.CoreShift, topology.ThreadsPerCore, apicId);
            SetLevel(draft, CpuidLeaf.TopologyV2, 1, LevelCore, topology.DieShift, topology.ThreadsPerDie, apicId);
            SetLevel(draft, CpuidLeaf.TopologyV2, 2, LevelDie, topology.PackageShift, topology.ThreadsPerPackage, apicId);
            SetLevel(draft, CpuidLeaf.TopologyV2, 3, 0, 0, 0, apicId);
            RaiseMaximum(draft, CpuidLeaf.Vendor, CpuidLeaf.TopologyV2);
        }

        ApplyAmdTopology(draft, topology, apicId);
    }

    /// <summary>AMD: extended APIC id; core number and threads per core; node number and nodes per package.</summary>
    private static void ApplyAmdTopology(CpuidDraft draft, CpuTopology topology, uint apicId) =>
        draft.Change(CpuidLeaf.AmdTopology, e => e with
        {
            Eax = apicId,
            Ebx = (CoreOf(topology, apicId) & 0xFF) | ((uint)(topology.ThreadsPerCore - 1) << 8),
            Ecx = (NodeOf(topology, apicId) & 0xFF) | ((uint)Math.Min(topology.DiesPerPackage - 1, 7) << 8),
            Edx = 0,
        });

    private static uint CoreOf(CpuTopology topology, uint apicId) =>
        (apicId & ((1u << topology.PackageShift) - 1)) >> topology.CoreShift;

    private static uint NodeOf(CpuTopology topology, uint apicId)
    {
        var package = apicId >> topology.PackageShift;
        var die = (apicId & ((1u << topology.PackageShift) - 1)) >> topology.DieShift;
        return (package * (uint)topology.DiesPerPackage) + die;
    }

    private static void SetLevel(CpuidDraft draft, uint leaf, uint subleaf, uint type, int shift, int count, uint apicId) =>
        draft.Set(new CpuidEntry
        {
            Leaf = leaf,
            Subleaf = subleaf,
            HasSubleaf = true,
            Eax = (uint)shift,
            Ebx = (uint)count,
            Ecx = (type << 8) | subleaf,
            Edx = apicId,
        });
}
