namespace Cnvm.Hypervisor.Soft.Core;

/// <summary>Bits of DR6, and of DR7 where they belong together (SDM vol. 3 §17.2.3, §17.2.4).</summary>
internal static class Dr6
{
    /// <summary>B0 to B3.</summary>
    public const ulong Breakpoints = 0xf;

    /// <summary>A debug register was accessed while DR7.GD was set.</summary>
    public const ulong BD = 0x2000;

    /// <summary>Single step.</summary>
    public const ulong BS = 0x4000;

    /// <summary>Bits that are 1 unless something is met, and those that are always 1.</summary>
    public const ulong ActiveLow = 0xffff_0ff0;

    /// <summary>"Any breakpoint was met" in VMX's pending debug exceptions; DR6 has always 0 there.</summary>
    public const ulong PendingOnly = 0x1000;

    /// <summary>DR7: accesses to debug registers are faults.</summary>
    public const ulong Dr7GeneralDetect = 0x2000;
}
