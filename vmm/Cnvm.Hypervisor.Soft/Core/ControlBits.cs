namespace Cnvm.Hypervisor.Soft.Core;

/// <summary>Bits of the control registers and EFER (SDM vol. 3 §2.5, §2.2.1).</summary>
internal static class ControlBits
{
    public const ulong CR0_PE = 1;
    public const ulong CR0_MP = 2;
    public const ulong CR0_EM = 4;
    public const ulong CR0_TS = 8;
    public const ulong CR0_ET = 0x10;
    public const ulong CR0_NE = 0x20;
    public const ulong CR0_WP = 0x1_0000;
    public const ulong CR0_AM = 0x4_0000;
    public const ulong CR0_NW = 0x2000_0000;
    public const ulong CR0_CD = 0x4000_0000;
    public const ulong CR0_PG = 0x8000_0000;

    public const ulong CR4_VME = 1;
    public const ulong CR4_PVI = 2;
    public const ulong CR4_TSD = 4;
    public const ulong CR4_DE = 8;
    public const ulong CR4_PSE = 0x10;
    public const ulong CR4_PAE = 0x20;
    public const ulong CR4_MCE = 0x40;
    public const ulong CR4_PGE = 0x80;
    public const ulong CR4_PCE = 0x100;
    public const ulong CR4_OSFXSR = 0x200;
    public const ulong CR4_OSXMMEXCPT = 0x400;
    public const ulong CR4_UMIP = 0x800;
    public const ulong CR4_FSGSBASE = 0x1_0000;
    public const ulong CR4_PCIDE = 0x2_0000;
    public const ulong CR4_OSXSAVE = 0x4_0000;
    public const ulong CR4_SMEP = 0x10_0000;
    public const ulong CR4_SMAP = 0x20_0000;

    /// <summary>The bits of CR4 that this processor has.</summary>
    public const ulong CR4_Valid = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR
        | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP;

    public const ulong EFER_SCE = 1;
    public const ulong EFER_LME = 0x100;
    public const ulong EFER_LMA = 0x400;
    public const ulong EFER_NXE = 0x800;
    public const ulong EFER_AIBRSE = 0x20_0000;
}
