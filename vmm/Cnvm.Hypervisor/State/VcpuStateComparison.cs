using System.Text;

namespace Cnvm.Hypervisor.State;

/// <summary>
/// Compares what was restored with what reads back, leaving out what time changes, and registers that say something of the host or
/// hold nothing on one side and are missing on the other.
/// </summary>
public static class VcpuStateComparison
{
    // Local APIC: what the version register says of abilities is the host's; the timer's current count runs (SDM vol. 3 §11.4.8, §11.5.4).
    private const int LapicVersion = 0x30;
    private const int LapicCurrentCount = 0x390;
    private const uint TimeStampCounter = 0x10;
    private const uint TscDeadline = 0x6e0;

    /// <summary>Names of the elements that differ, with both values where they are short; empty when nothing does.</summary>
    public static string Differences(VcpuState a, VcpuState b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        var text = new StringBuilder();
        Compare(text, "CPUID", a.Cpuid, b.Cpuid);
        Compare(text, "MP state", a.MpState, b.MpState);
        Compare(text, "registers", a.General, b.General);
        Compare(text, "system registers", SystemRegistersForm.Normalize(a.System), SystemRegistersForm.Normalize(b.System));
        Compare(text, "XCR0", a.Xcr0, b.Xcr0);
        Compare(text, "DR6", a.Dr6, b.Dr6);
        Compare(text, "DR7", a.Dr7, b.Dr7);
        Compare(text, "events", a.Events, b.Events);
        if (!TscTolerance.Covers(a.TscKhz, b.TscKhz))
        {
            Compare(text, "TSC kHz", a.TscKhz, b.TscKhz);
        }

        for (int i = 0; i < a.DebugAddresses.Length; i++)
        {
            Compare(text, $"DR{i}", a.DebugAddresses[i], b.DebugAddresses[i]);
        }

        CompareBytes(
            text, "XSAVE", XsaveArea.Normalize(a.Xsave.AsSpan(), a.Cpuid).AsSpan(), XsaveArea.Normalize(b.Xsave.AsSpan(), b.Cpuid).AsSpan());
        CompareBytes(text, "LAPIC", a.Lapic.AsSpan(), b.Lapic.AsSpan(), LapicVersion, LapicCurrentCount);
        Dictionary<uint, ulong> others = b.Msrs.ToDictionary(m => m.Index, m => m.Value);
        foreach (MsrValue msr in a.Msrs)
        {
            bool isLost = msr.Value == 0 && !others.ContainsKey(msr.Index);
            if (msr.Policy == MsrPolicy.Preserve && !isLost && msr.Index is not (TimeStampCounter or TscDeadline))
            {
                Compare(text, $"MSR 0x{msr.Index:x}", (ulong?)msr.Value, others.TryGetValue(msr.Index, out ulong v) ? v : null);
            }
        }

        return text.ToString();
    }

    /// <exception cref="HypervisorException">Something differs.</exception>
    public static void ThrowIfDifferent(int vcpu, VcpuState wanted, VcpuState found)
    {
        string differences = Differences(wanted, found);
        if (differences.Length > 0)
        {
            throw new HypervisorException($"vCPU {vcpu}: restored state does not read back:{differences}");
        }
    }

    private static void Compare<T>(StringBuilder text, string name, T a, T b)
    {
        if (!EqualityComparer<T>.Default.Equals(a, b))
        {
            text.Append($"\n  {name}: {a} / {b}");
        }
    }

    /// <summary>An area that is longer on one side holds zeros there on the other.</summary>
    private static void CompareBytes(StringBuilder text, string name, ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, params ReadOnlySpan<int> skippedRegisters)
    {
        for (int i = 0; i < Math.Max(a.Length, b.Length); i++)
        {
            byte left = i < a.Length ? a[i] : (byte)0;
            byte right = i < b.Length ? b[i] : (byte)0;
            if (left != right && !skippedRegisters.Contains(i & ~3))
            {
                text.Append($"\n  {name} byte 0x{i:x}: {left:x2} / {right:x2}");
            }
        }
    }
}
