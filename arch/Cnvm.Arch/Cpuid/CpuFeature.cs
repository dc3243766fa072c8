using System.Numerics;

namespace Cnvm.Arch.Cpuid;

/// <summary>One feature bit of CPUID.</summary>
/// <param name="Name">As /proc/cpuinfo spells it where it does, otherwise the register's name and the bit.</param>
public readonly record struct CpuFeature(uint Leaf, uint Subleaf, CpuidRegister Register, int Bit, string Name)
{
    // Registers that are made of feature bits, with their names from bit 0 on; "-" has none.
    private static readonly (uint Leaf, uint Subleaf, CpuidRegister Register, string[] Names)[] Registers =
    [
        (1, 0, CpuidRegister.Ecx, Split(
            "sse3 pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave osxsave avx f16c rdrand hypervisor")),
        (1, 0, CpuidRegister.Edx, Split(
            "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe")),
        (7, 0, CpuidRegister.Ebx, Split(
            "fsgsbase tsc_adjust sgx bmi1 hle avx2 fdp_excptn_only smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl")),
        (7, 0, CpuidRegister.Ecx, Split(
            "prefetchwt1 avx512vbmi umip pku ospke waitpkg avx512_vbmi2 shstk gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri movdir64b enqcmd sgx_lc pks")),
        (7, 0, CpuidRegister.Edx, Split(
            "- - avx512_4vnniw avx512_4fmaps fsrm uintr - - avx512_vp2intersect - md_clear rtm_always_abort - - serialize - tsxldtrk - pconfig arch_lbr ibt - amx_bf16 avx512_fp16 amx_tile amx_int8 spec_ctrl intel_stibp flush_l1d arch_capabilities core_capabilities spec_ctrl_ssbd")),
        (7, 1, CpuidRegister.Eax, []),
        (7, 1, CpuidRegister.Edx, []),
        (7, 2, CpuidRegister.Edx, []),
        (0xd, 0, CpuidRegister.Eax, Split("x87-state sse-state avx-state bndregs-state bndcsr-state opmask-state zmm_hi256-state hi16_zmm-state - pkru-state")),
        (0xd, 1, CpuidRegister.Eax, Split("xsaveopt xsavec xgetbv1 xsaves xfd")),
        (0x4000_0001, 0, CpuidRegister.Eax, Split(
            "kvmclock kvm_nopiodelay kvm_mmu kvmclock2 kvm_asyncpf kvm_steal_time kvm_pv_eoi kvm_pv_unhalt - kvm_pv_tlb_flush kvm_asyncpf_vmexit kvm_pv_ipi kvm_poll_control kvm_pv_sched_yield kvm_asyncpf_int kvm_msi_ext_dest_id kvm_hc_map_gpa_range kvm_migration_control - - - - - - kvmclock_stable")),
        (0x8000_0001, 0, CpuidRegister.Ecx, Split(
            "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx")),
        (0x8000_0001, 0, CpuidRegister.Edx, Split(
            "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow")),
        (0x8000_0007, 0, CpuidRegister.Edx, Split("- - - - - - - - constant_tsc")),
        (0x8000_0008, 0, CpuidRegister.Ebx, Split(
            "clzero irperf xsaveerptr - rdpru - - - - wbnoinvd - - amd_ibpb - amd_ibrs amd_stibp - amd_stibp_always_on - - - - - amd_ppin amd_ssbd virt_ssbd amd_ssb_no cppc amd_psfd btc_no ibpb_ret")),
        (0x8000_000a, 0, CpuidRegister.Edx, Split("npt lbrv svm_lock nrip_save tsc_scale vmcb_clean flushbyasid decodeassists")),
        (0x8000_0021, 0, CpuidRegister.Eax, []),
        (0x8000_0021, 0, CpuidRegister.Ecx, []),
    ];

    /// <summary>Bits that processors and hypervisors compute: not a matter of what the host can do.</summary>
    private static bool IsComputed(uint leaf, CpuidRegister register, int bit) => (leaf, register, bit) switch
    {
        (1, CpuidRegister.Ecx, 21 or 24 or 27 or 31) => true, // x2apic, tsc_deadline_timer, osxsave, hypervisor
        (1, CpuidRegister.Edx, 28) => true, // ht
        (7, CpuidRegister.Ecx, 4) => true, // ospke
        (0x8000_0001, CpuidRegister.Ecx, 1) => true, // cmp_legacy
        // AMD repeats leaf 1 here; what counts has been compared there.
        (0x8000_0001, CpuidRegister.Edx, not (11 or 19 or 20 or 22 or 25 or 26 or 27 or 29 or 30 or 31)) => true,
        _ => false,
    };

    /// <summary>Features that <paramref name="shown"/> has and <paramref name="supported"/> lacks.</summary>
    public static IReadOnlyList<CpuFeature> Missing(CpuidTable shown, CpuidTable supported)
    {
        ArgumentNullException.ThrowIfNull(shown);
        ArgumentNullException.ThrowIfNull(supported);
        var missing = new List<CpuFeature>();
        foreach ((uint leaf, uint subleaf, CpuidRegister register, string[] names) in Registers)
        {
            for (uint bits = Read(shown, leaf, subleaf, register) & ~Read(supported, leaf, subleaf, register); bits != 0; bits &= bits - 1)
            {
                int bit = BitOperations.TrailingZeroCount(bits);
                if (!IsComputed(leaf, register, bit))
                {
                    missing.Add(new CpuFeature(leaf, subleaf, register, bit, NameOf(leaf, subleaf, register, bit, names)));
                }
            }
        }

        return missing;
    }

    /// <summary>All features of a table.</summary>
    public static IReadOnlyList<CpuFeature> All(CpuidTable table) => Missing(table, new CpuidTable([]));

    /// <summary>A feature by its name; false if none has it.</summary>
    public static bool TryGet(string name, out CpuFeature feature)
    {
        foreach ((uint leaf, uint subleaf, CpuidRegister register, string[] names) in Registers)
        {
            int bit = Array.IndexOf(names, name);
            if (bit >= 0 && name != "-")
            {
                feature = new CpuFeature(leaf, subleaf, register, bit, name);
                return true;
            }
        }

        feature = default;
        return false;
    }

    /// <summary>A register of the entry that answers for a leaf; 0 if there is none.</summary>
    internal static uint Read(CpuidTable table, uint leaf, uint subleaf, CpuidRegister register) =>
        table.TryGet(leaf, subleaf, out CpuidEntry e) ? Get(e, register) : 0;

    internal static uint Get(in CpuidEntry e, CpuidRegister register) => register switch
    {
        CpuidRegister.Eax => e.Eax,
        CpuidRegister.Ebx => e.Ebx,
        CpuidRegister.Ecx => e.Ecx,
        _ => e.Edx,
    };

    private static string NameOf(uint leaf, uint subleaf, CpuidRegister register, int bit, string[] names) =>
        bit < names.Length && names[bit] != "-"
            ? names[bit]
            : $"CPUID.{leaf:X}H.{subleaf}:{register.ToString().ToUpperInvariant()}[{bit}]";

    private static string[] Split(string names) => names.Split(' ');
}
