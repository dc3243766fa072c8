namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>What a translation depends on besides the bytes; part of a block's key from bit 56 up.</summary>
internal static class ModeBits
{
    public const int Shift = 56;
    public const int CodeSizeMask = 3;
    public const int Code16 = 0;
    public const int Code32 = 1;
    public const int Code64 = 2;

    /// <summary>x87 instructions may run (CR0.EM and TS clear).</summary>
    public const int Fpu = 8;

    /// <summary>SSE instructions may run (also CR4.OSFXSR).</summary>
    public const int Sse = 16;

    /// <summary>VEX-encoded vector instructions may run: CR4.OSXSAVE, XCR0 with SSE and AVX, protected mode.</summary>
    public const int Avx = 64;

    /// <summary>VEX prefixes are known: protected mode, and not virtual-8086.</summary>
    public const int Vex = 128;

    /// <summary>CR0.TS: what may not run is #NM rather than #UD.</summary>
    public const int TaskSwitched = 32;
}
