namespace Cnvm.Hypervisor.Kvm;

/// <summary>Model-specific registers that the backend treats by name (SDM vol. 4 §2.1).</summary>
internal static class MsrIndex
{
    public const uint TimeStampCounter = 0x10;
    public const uint KvmWallClockOld = 0x11;
    public const uint KvmSystemTimeOld = 0x12;
    public const uint ApicBase = 0x1b;
    public const uint MiscEnable = 0x1a0;
    public const uint MtrrDefType = 0x2ff;
    public const uint TscDeadline = 0x6e0;
    public const uint Efer = 0xc000_0080;
    public const uint FsBase = 0xc000_0100;
    public const uint GsBase = 0xc000_0101;

    /// <summary>IA32_MISC_ENABLE: fast string operations.</summary>
    public const ulong MiscEnableFastString = 1;

    /// <summary>IA32_MTRR_DEF_TYPE: MTRRs enabled, memory is write-back where none says otherwise.</summary>
    public const ulong MtrrEnabledWriteBack = (1 << 11) | 6;
}
