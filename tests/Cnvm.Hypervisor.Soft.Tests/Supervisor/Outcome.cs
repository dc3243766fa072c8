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

            string a = its.GetValueOrDefault(key, Untouched(scenario, key));
            string c = mine.GetValueOrDefault(key, Untouched(scenario, key));
            if (a != c && !IsKnownShortcoming(scenario, its, key, a, c))
            {
                b.Append(CultureInfo.InvariantCulture, $"  {key}: {(scenario.Manual is null ? "kvm" : "manual")} {a} soft {c}\n");
            }
        }

        return b.ToString();
    }

    /// <summary>Where QEMU's processor, on which kvm_amd runs here, does not do what the manuals say.</summary>
    private static bool IsKnownShortcoming(Scenario scenario, Dictionary<string, string> reference, string key, string its, string mine)
    {
        if (scenario.System.Cr0 >> 31 != 0 && !scenario.IsWide && key is "ma000" or "ma008")
        {
            // It marks page-directory-pointer entries as accessed, where that bit is reserved (APM vol. 2 §5.2.3).
            return true;
        }

        if (key == "ss" && scenario.IsWide && (its.StartsWith("0/0/0/", StringComparison.Ordinal) || mine.EndsWith("/0/0/10000", StringComparison.Ordinal)))
        {
            // An interrupt stack makes SS null only together with a change of level, and a null SS has no attributes (SDM vol. 3 §6.14.4).
            string[] a = its.Split('/');
            string[] b = mine.Split('/');
            return a[0] == b[0] || (!scenario.IsUser && b[0] == "10");
        }

        if (key == "ldt" && its.EndsWith("/0/0/82", StringComparison.Ordinal) && mine.EndsWith("/0/0/10000", StringComparison.Ordinal))
        {
            // A null LDT.
            return its.Split('/')[0] == mine.Split('/')[0];
        }

        if (key == "rdx" && scenario.Name.StartsWith("descriptor", StringComparison.Ordinal) && Hex(its, out ulong access) && Hex(mine, out ulong own))
        {
            // LAR leaves bits 19:16 undefined (SDM vol. 2, LAR); AMD's processors have the limit's there, as this one.
            return (access ^ own) >> 16 is > 0 and < 16 && ((access ^ own) & 0xffff) == 0;
        }

        if (key is "m9008" or "m9020" or "mc008" or "mc020" && Hex(its, out ulong entry) && Hex(mine, out ulong marked))
        {
            // As below: the page of the descriptor table is written.
            return marked == (entry | Layout.Dirty);
        }

        if (key is "mf000" or "m7008" && Hex(its, out ulong large) && (large & Layout.Large) != 0 && Hex(mine, out ulong kept))
        {
            // It marks 1 GiB pages as accessed before it looks whether the access is allowed.
            return large == (kept | Layout.Accessed);
        }

        if (key[0] == 'm' && Hex(key[1..], out ulong at) && its == Untouched(scenario, key) && (at >> 12) is (Layout.Gdt >> 12) or (Layout.Ldt >> 12) && Hex(mine, out ulong descriptor))
        {
            // Loads of CS mark code segments as accessed (APM vol. 2 §4.7.2).
            return descriptor == (BitConverter.ToUInt64(scenario.Ram, (int)at) | (1ul << 40)) && (descriptor & (0x18ul << 40)) == 0x18ul << 40;
        }

        if (key == "rflags" && Hex(its, out ulong before) && Hex(mine, out ulong after))
        {
            // RF stays until the next instruction when KVM itself completes one.
            return before == (after | 0x1_0000);
        }

        if (key[0] != 'm' || !Hex(its, out ulong theirs) || !Hex(mine, out ulong ours))
        {
            return false;
        }

        ulong difference = theirs ^ ours;
        if (System.Numerics.BitOperations.IsPow2(difference) && System.Numerics.BitOperations.Log2(difference) % 8 == 0 && (ours & difference) != 0
            && (difference is 0x1_0000 or 0x1_0000_0000_0000 || scenario.Name.StartsWith("gate", StringComparison.Ordinal)
                || scenario.Name.StartsWith("transfer", StringComparison.Ordinal)))
        {
            // RF in the pushed flags of a fault, wherever in the word a stack that is not aligned has them (APM vol. 2 §8.4; SDM vol. 3 §17.3.1.1): it is set only when KVM injects the fault.
            return true;
        }

        if (scenario.IsWide && theirs == 0 && ours == Layout.Data && scenario.Name.StartsWith("gate", StringComparison.Ordinal))
        {
            // SS as above, pushed.
            return true;
        }

        string end = reference["end"];
        if (end.EndsWith("vector14", StringComparison.Ordinal))
        {
            // A reserved bit is found in a present entry: P is set with RSVD (APM vol. 2 §8.4.2).
            return (difference == 1 && (theirs & 8) != 0) || (difference == 1ul << 32 && (theirs & (8ul << 32)) != 0);
        }

        if (difference == 1 && (ours & 1) != 0 && end[(end.LastIndexOf(',') + 1)..] is "vector10" or "vector11" or "vector12" or "vector13")
        {
            // EXT: met while another event was delivered (APM vol. 2 §8.4.1).
            return true;
        }

        // An IDT entry's error code has the vector in bits 15:3 (APM vol. 2 figure 8-1); it puts the entry's offset there in long mode.
        return scenario.IsWide && (theirs & ours & 2) != 0 && theirs >> 3 == ours >> 3 << 1 && (theirs & 7 & ~1ul) == (ours & 7 & ~1ul);
    }

    /// <summary>What a part is when it is not named: memory as at the beginning.</summary>
    private static string Untouched(Scenario scenario, string key) =>
        key[0] == 'm' && Hex(key[1..], out ulong at) && at < (ulong)scenario.Ram.Length
            ? BitConverter.ToUInt64(scenario.Ram, (int)at).ToString("x", CultureInfo.InvariantCulture)
            : "-";

    private static bool Hex(string text, out ulong value) =>
        ulong.TryParse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out value);

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
        // 64-bit code has no base, whatever the register's hidden part keeps.
        ulong @base = key == "cs" && s.Long ? 0 : s.Base;
        b.Append(CultureInfo.InvariantCulture, $" {key}={s.Selector:x}/{@base:x}/{s.Limit:x}/{s.Attributes:x}");
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
