using System.Buffers.Binary;
using System.Runtime.Intrinsics.X86;
using System.Text;
using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Platform;

/// <summary>
/// Every CPUID bit that the software processor can show: an AMD family 19h part without speculation flaws, as it does not
/// speculate. Bits stand here when the instructions behind them are implemented.
/// </summary>
internal static class SoftCpuid
{
    public const int AddressBits = 46;

    private const uint Family19Model11 = 0x00a1_0f11;

    // Leaf 1 EDX: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clfsh mmx fxsr sse sse2.
    private const uint Edx1 = 0x078b_fbff;

    // Leaf 1 ECX: sse3 pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor.
    private const uint Ecx1 = (1u << 0) | (1u << 1) | (1u << 9) | (1u << 12) | (1u << 13) | (1u << 17) | (1u << 19) | (1u << 20) | (1u << 21) | (1u << 22)
        | (1u << 23) | (1u << 24) | (1u << 25) | (1u << 26) | (1u << 28) | (1u << 29) | (1u << 30) | (1u << 31);

    // Leaf 7 EBX: fsgsbase bmi1 avx2 smep bmi2 erms invpcid rdseed adx smap clflushopt clwb. ECX: umip rdpid.
    private const uint Ebx7 = (1u << 0) | (1u << 3) | (1u << 5) | (1u << 7) | (1u << 8) | (1u << 9) | (1u << 10) | (1u << 18) | (1u << 19) | (1u << 20)
        | (1u << 23) | (1u << 24);

    private const uint Ecx7 = (1u << 2) | (1u << 22);

    // 0x80000001 ECX: lahf cmp-legacy cr8 abm 3dnowprefetch. EDX: leaf 1's common bits, syscall nx pdpe1gb rdtscp lm.
    private const uint EcxAmd = (1u << 0) | (1u << 4) | (1u << 5) | (1u << 8);
    private const uint EdxAmd = 0x0183_f3ff | (1u << 11) | (1u << 20) | (1u << 26) | (1u << 27) | (1u << 29);

    // 0x80000008 EBX: SSB_NO and BTC_NO. 0x80000021 EAX: lfence serializes, null selector clears base, automatic IBRS, SRSO_NO; ECX:
    // TSA_SQ_NO, TSA_L1_NO.
    private const uint EbxSizes = (1u << 26) | (1u << 29);
    private const uint Eax21 = (1u << 2) | (1u << 6) | (1u << 8) | (1u << 29);
    private const uint Ecx21 = (1u << 1) | (1u << 2);

    /// <summary>Leaf of KVM's features (kernel documentation, virt/kvm/x86/cpuid).</summary>
    public const uint KvmFeatureLeaf = 0x4000_0001;

    /// <summary>KVM_FEATURE_PV_UNHALT: one processor ends the halt of another.</summary>
    public const uint KvmUnhalt = 1u << 7;

    // KVM features: clock at the old and new MSRs, no I/O delay, unhalt by hypercall, stable clock.
    private const uint KvmFeatures = (1u << 0) | (1u << 1) | (1u << 3) | KvmUnhalt | (1u << 24);

    // Leaf 0xd subleaf 1: xsaveopt xsavec xgetbv1.
    private const uint XsaveForms = 7;

    public static CpuidTable Create()
    {
        List<CpuidEntry> entries =
        [
            Leaf(0, 0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
            Leaf(1, Family19Model11, 0x0000_0800, Aes.IsSupported ? Ecx1 : Ecx1 & ~(1u << 25), Edx1),
            Leaf(2, 0, 0, 0, 0),
            Sub(4, 0, 0, 0, 0, 0),
            Leaf(5, 0, 0, 0, 0),
            Leaf(6, 4, 0, 0, 0),
            Sub(7, 0, 0, Ebx7, Ecx7, 0),
            Sub(0xb, 0, 0, 1, 0x100, 0),
            Sub(0xb, 1, 0, 1, 0x201, 0),
            Sub(0xd, 0, (uint)SoftVcpu.SupportedXcr0, FpuState.AreaBytes, FpuState.AreaBytes, 0),
            Sub(0xd, 1, XsaveForms, FpuState.AreaBytes, 0, 0),
            Sub(0xd, 2, FpuState.AreaBytes - FpuState.HeaderEnd, FpuState.HeaderEnd, 0, 0),
            Leaf(0x4000_0000, 0x4000_0010, 0x4b4d_564b, 0x564b_4d56, 0x4d),
            Leaf(KvmFeatureLeaf, KvmFeatures, 0, 0, 0),
            Leaf(0x4000_0010, SoftVcpu.DefaultTscKhz, 1_000_000, 0, 0),
            Leaf(0x8000_0000, 0x8000_0021, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
            Leaf(0x8000_0001, Family19Model11, 0, EcxAmd, EdxAmd),
            .. Brand("cnvm software processor"),
            Leaf(0x8000_0005, 0xff40_ff40, 0xff40_ff40, 0x2008_0140, 0x2008_0140),
            Leaf(0x8000_0006, 0, 0x4200_4200, 0x0200_8140, 0),
            Leaf(0x8000_0007, 0, 0, 0, 0x100),
            Leaf(0x8000_0008, 0x3000 | AddressBits, EbxSizes, 0, 0),
            Leaf(0x8000_0021, Eax21, 0, Ecx21, 0),
        ];
        return new CpuidTable(entries);
    }

    public static int PhysicalBits(CpuidTable table) =>
        table.TryGet(0x8000_0008, 0, out CpuidEntry e) && (e.Eax & 0xff) is >= 32 and <= 52 ? (int)(e.Eax & 0xff) : AddressBits;

    public static bool IsIntel(CpuidTable table) => table.TryGet(0, 0, out CpuidEntry e) && e.Ebx == 0x756e_6547;

    /// <summary>LOCK MOV CR0 reaches CR8 outside of 64-bit mode too (0x80000001 ECX bit 4).</summary>
    public static bool HasLockedCr8(CpuidTable table) => table.TryGet(0x8000_0001, 0, out CpuidEntry e) && (e.Ecx & (1u << 4)) != 0;

    /// <summary>Bits of CR4 that exist on a vCPU with this CPUID: those that stand for a feature need the feature.</summary>
    public static ulong Cr4Bits(CpuidTable table)
    {
        table.TryGet(1, 0, out CpuidEntry basic);
        table.TryGet(7, 0, out CpuidEntry more);
        ulong bits = ControlBits.CR4_Valid;
        void Needs(uint word, int bit, ulong control) => bits &= (word & (1u << bit)) != 0 ? ulong.MaxValue : ~control;
        Needs(basic.Edx, 1, ControlBits.CR4_VME | ControlBits.CR4_PVI);
        Needs(basic.Edx, 2, ControlBits.CR4_DE);
        Needs(basic.Edx, 3, ControlBits.CR4_PSE);
        Needs(basic.Edx, 4, ControlBits.CR4_TSD);
        Needs(basic.Edx, 6, ControlBits.CR4_PAE);
        Needs(basic.Edx, 7, ControlBits.CR4_MCE);
        Needs(basic.Edx, 13, ControlBits.CR4_PGE);
        Needs(basic.Edx, 24, ControlBits.CR4_OSFXSR);
        Needs(basic.Edx, 25, ControlBits.CR4_OSXMMEXCPT);
        Needs(basic.Ecx, 17, ControlBits.CR4_PCIDE);
        Needs(basic.Ecx, 26, ControlBits.CR4_OSXSAVE);
        Needs(more.Ebx, 0, ControlBits.CR4_FSGSBASE);
        Needs(more.Ebx, 7, ControlBits.CR4_SMEP);
        Needs(more.Ebx, 20, ControlBits.CR4_SMAP);
        Needs(more.Ecx, 2, ControlBits.CR4_UMIP);
        return bits;
    }

    /// <summary>XCR0 bits that a vCPU with this CPUID may set.</summary>
    public static ulong StateComponents(CpuidTable table) => table.TryGet(0xd, 0, out CpuidEntry e) ? e.Eax | ((ulong)e.Edx << 32) : 3;

    private static CpuidEntry Leaf(uint leaf, uint a, uint b, uint c, uint d) => new() { Leaf = leaf, Eax = a, Ebx = b, Ecx = c, Edx = d };

    private static CpuidEntry Sub(uint leaf, uint sub, uint a, uint b, uint c, uint d) =>
        new() { Leaf = leaf, Subleaf = sub, HasSubleaf = true, Eax = a, Ebx = b, Ecx = c, Edx = d };

    private static IEnumerable<CpuidEntry> Brand(string name)
    {
        byte[] text = new byte[48];
        Encoding.ASCII.GetBytes(name, text);
        for (int i = 0; i < 3; i++)
        {
            uint word(int n) => BinaryPrimitives.ReadUInt32LittleEndian(text.AsSpan((i * 16) + (n * 4)));
            yield return Leaf(0x8000_0002 + (uint)i, word(0), word(1), word(2), word(3));
        }
    }
}
