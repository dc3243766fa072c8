namespace Cnvm.Arch.Cpuid;

/// <summary>Leaves and feature bits (SDM vol. 2, CPUID; APM vol. 3, appendix E) that the model computes.</summary>
internal static class CpuidLeaf
{
    public const uint Vendor = 0;
    public const uint Features = 1;
    public const uint Caches = 4;
    public const uint ExtendedFeatures = 7;
    public const uint Performance = 0xA;
    public const uint Topology = 0xB;
    public const uint Xsave = 0xD;
    public const uint Sgx = 0x12;
    public const uint AmxTiles = 0x1D;
    public const uint AmxMultiply = 0x1E;
    public const uint TopologyV2 = 0x1F;
    public const uint ExtendedMax = 0x8000_0000;
    public const uint AmdFeatures = 0x8000_0001;
    public const uint Brand = 0x8000_0002;
    public const uint AddressSizes = 0x8000_0008;
    public const uint Svm = 0x8000_000A;
    public const uint AmdCaches = 0x8000_001D;
    public const uint AmdTopology = 0x8000_001E;
    public const uint MemoryEncryption = 0x8000_001F;
    public const uint AmdPerformance = 0x8000_0022;
    public const uint AmdTopologyV2 = 0x8000_0026;

    // Leaf 1.
    public const uint Ecx1Vmx = 1u << 5;
    public const uint Ecx1Pdcm = 1u << 15;
    public const uint Ecx1X2Apic = 1u << 21;
    public const uint Ecx1TscDeadline = 1u << 24;
    public const uint Ecx1Xsave = 1u << 26;
    public const uint Ecx1OsXsave = 1u << 27;
    public const uint Ecx1Avx = 1u << 28;
    public const uint Ecx1Hypervisor = 1u << 31;
    public const uint Edx1Htt = 1u << 28;

    // Leaf 7, subleaf 0.
    public const uint Ebx7Sgx = 1u << 2;
    public const uint Ebx7Mpx = 1u << 14;
    public const uint Ebx7Avx512 = 1u << 16;
    public const uint Ecx7Pku = 1u << 3;
    public const uint Ecx7OsPke = 1u << 4;
    public const uint Ecx7SgxLaunchControl = 1u << 30;
    public const uint Edx7AmxBf16 = 1u << 22;
    public const uint Edx7AmxTile = 1u << 24;
    public const uint Edx7AmxInt8 = 1u << 25;

    // Leaf 0x80000001.
    public const uint EcxAmdCmpLegacy = 1u << 1;
    public const uint EcxAmdSvm = 1u << 2;
    public const uint EcxAmdPerfCounters = 1u << 23;
    public const uint EcxAmdPerfCountersNb = 1u << 24;
    public const uint EcxAmdPerfCountersLlc = 1u << 28;

    // State components of XCR0 (SDM vol. 1, 13.1).
    public const ulong XAvx = 1UL << 2;
    public const ulong XMpx = 0x18;
    public const ulong XAvx512 = 0xE0;
    public const ulong XPku = 1UL << 9;
    public const ulong XAmx = 0x6_0000;
}
