using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Cnvm.Arch.Registers;
using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>What became of a scenario, as text: <c>name</c>, and after a tab parts of the form <c>key=value</c>.</summary>
internal static class Outcome
{
    private static readonly string[] s_general =
        ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

    /// <summary>Local APIC: abilities and the running count are the host's (SDM vol. 3 §11.4.8, §11.5.4).</summary>
    private const int ApicVersion = 0x30;
    private const int ApicCurrentCount = 0x390;

    public static string Text(Scenario scenario, string end, VcpuState? state, ReadOnlySpan<byte> ram)
    {
        StringBuilder b = new();
        b.Append(CultureInfo.InvariantCulture, $"{scenario.Name}\tend={end}");
        if (state is not null)
        {
            Registers(b, state);
        }

        Memory(b, scenario.Ram, ram);
        return b.ToString();
    }

    /// <summary>Differences in words; empty when there are none.</summary>
    public static string Differences(Scenario scenario, string reference, string soft)
    {
        Dictionary<string, string> mine = Parts(soft);
        Dictionary<string, string> its = Parts(scenario.Manual is { } manual ? "\t" + manual : reference);
        StringBuilder b = new();
        foreach (string key in scenario.Manual is null ? its.Keys.Union(mine.Keys) : its.Keys)
        {
            if (scenario.Ignored.ContainsKey(key))
            {
                continue;
            }

            string a = its.GetValueOrDefault(key, "-");
            string c = mine.GetValueOrDefault(key, "-");
            if (a != c)
            {
                b.Append(CultureInfo.InvariantCulture, $"  {key}: {(scenario.Manual is null ? "kvm" : "manual")} {a} soft {c}\n");
            }
        }

        return b.ToString();
    }

    private static Dictionary<string, string> Parts(string line) =>
        line[(line.IndexOf('\t', StringComparison.Ordinal) + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(static p => p.Split('=', 2)).ToDictionary(static p => p[0], static p => p[1]);

    private static void Registers(StringBuilder b, VcpuState s)
    {
        Add(b, "rip", s.General.Rip);
        Add(b, "rflags", s.General.Rflags);
        GeneralRegisters g = s.General;
        ulong[] general = [g.Rax, g.Rcx, g.Rdx, g.Rbx, g.Rsp, g.Rbp, g.Rsi, g.Rdi, g.R8, g.R9, g.R10, g.R11, g.R12, g.R13, g.R14, g.R15];
        for (int i = 0; i < 16; i++)
        {
            Add(b, s_general[i], general[i]);
        }

        SystemRegisters y = s.System;
        Segment(b, "cs", y.Cs);
        Segment(b, "ds", y.Ds);
        Segment(b, "es", y.Es);
        Segment(b, "fs", y.Fs);
        Segment(b, "gs", y.Gs);
        Segment(b, "ss", y.Ss);
        Segment(b, "tr", y.Tr);
        Segment(b, "ldt", y.Ldt);
        b.Append(CultureInfo.InvariantCulture, $" gdt={y.Gdt.Base:x}/{y.Gdt.Limit:x} idt={y.Idt.Base:x}/{y.Idt.Limit:x}");
        Add(b, "cr0", y.Cr0);
        Add(b, "cr2", y.Cr2);
        Add(b, "cr3", y.Cr3);
        Add(b, "cr4", y.Cr4);
        Add(b, "cr8", y.Cr8);
        Add(b, "efer", y.Efer);
        Add(b, "apicbase", y.ApicBase);
        Add(b, "xcr0", s.Xcr0);
        Add(b, "dr6", s.Dr6);
        Add(b, "dr7", s.Dr7);
        for (int i = 0; i < 4; i++)
        {
            Add(b, "dr" + (char)('0' + i), s.DebugAddresses[i]);
        }

        Add(b, "mp", (ulong)s.MpState);
        Add(b, "shadow", s.Events.InterruptShadow);
        Add(b, "nmimasked", s.Events.NmiMasked ? 1u : 0);
        Add(b, "nmipending", s.Events.NmiPending ? 1u : 0);
        foreach (MsrValue m in s.Msrs)
        {
            if (m.Value != 0 && ScenarioRunner.ComparedMsrs.Contains(m.Index))
            {
                Add(b, string.Create(CultureInfo.InvariantCulture, $"msr{m.Index:x}"), m.Value);
            }
        }

        for (int at = 0; at < s.Lapic.Length; at += 16)
        {
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(s.Lapic.AsSpan()[at..]);
            if (word != 0 && at is not (ApicVersion or ApicCurrentCount))
            {
                Add(b, string.Create(CultureInfo.InvariantCulture, $"apic{at:x}"), word);
            }
        }
    }

    private static void Add(StringBuilder b, string key, ulong value)
    {
        b.Append(CultureInfo.InvariantCulture, $" {key}={value:x}");
    }

    private static void Segment(StringBuilder b, string key, in SegmentRegister s)
    {
        b.Append(CultureInfo.InvariantCulture, $" {key}={s.Selector:x}/{s.Base:x}/{s.Limit:x}/{s.Attributes:x}");
    }

    private static void Memory(StringBuilder b, ReadOnlySpan<byte> before, ReadOnlySpan<byte> after)
    {
        for (int at = 0; at < before.Length; at += 8)
        {
            int same = before[at..].CommonPrefixLength(after[at..]);
            at += same & ~7;
            if (at < before.Length)
            {
                ulong now = BinaryPrimitives.ReadUInt64LittleEndian(after[at..]);
                Add(b, string.Create(CultureInfo.InvariantCulture, $"m{at:x}"), now);
            }
        }
    }
}
