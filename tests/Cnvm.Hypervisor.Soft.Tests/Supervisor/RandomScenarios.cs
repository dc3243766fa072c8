using System.Globalization;
using Cnvm.Arch.Registers;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>Scenarios made from seeds: every name says how to make its scenario again.</summary>
internal static partial class RandomScenarios
{
    private static readonly (string Kind, int Share, Func<string, Random, Scenario> Make)[] s_kinds =
    [
        ("paging", 30, Paging),
        ("descriptor", 25, Descriptors),
        ("transfer", 15, Transfers),
        ("gate", 15, Gates),
        ("return", 25, Returns),
        ("control", 15, Control),
        ("msr", 10, ModelSpecific),
    ];

    public static IEnumerable<Scenario> Make(int seed, int count, string? only = null)
    {
        int total = s_kinds.Sum(static k => k.Share);
        foreach ((string kind, int share, Func<string, Random, Scenario> make) in s_kinds)
        {
            int n = only is null ? count * share / total : kind == only ? count : 0;
            for (int i = 0; i < n; i++)
            {
                yield return One(kind, make, seed + i);
            }
        }
    }

    /// <summary>The scenario of a name such as <c>paging-17</c>.</summary>
    public static Scenario Again(string name)
    {
        int dash = name.LastIndexOf('-');
        string kind = name[..dash];
        return One(kind, s_kinds.First(k => k.Kind == kind).Make, int.Parse(name[(dash + 1)..], CultureInfo.InvariantCulture));
    }

    private static Scenario One(string kind, Func<string, Random, Scenario> make, int seed)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"{kind}-{seed}");
        int hash = kind.Aggregate(seed, static (h, c) => unchecked((h * 31) + c));
        return make(name, new Random(hash));
    }

    private static T Pick<T>(Random r, params ReadOnlySpan<T> choices) => choices[r.Next(choices.Length)];

    private static bool Chance(Random r, int percent) => r.Next(100) < percent;

    private static ulong Word(Random r) => (ulong)r.NextInt64(long.MinValue, long.MaxValue);

    private static Scenario Begin(string name, Random r, params ReadOnlySpan<ScenarioMode> modes)
    {
        Scenario s = new(name, Pick(r, modes));
        for (int i = 0; i < 16; i++)
        {
            s.Registers[i] = i == 4 ? s.Registers[4] - 0x100 : s.Bits == 64 ? Word(r) : i < 8 ? (uint)Word(r) : 0;
        }

        s.Flags = 2 | (Word(r) & 0xcd5) | (s.IsUser ? 0x3000u : 0);
        // Direction down makes no difference but for the string instructions.
        s.Flags &= ~0x400ul;
        return s;
    }

    /// <summary>Where code that only ends stands: reachable from every level.</summary>
    private static void EndsElsewhere(Scenario s)
    {
        // nop, which single steps stop behind ; out ; jmp to itself
        s.Put(Layout.MoreCode, 0xfeeb_f0e6_90);
        s.Put(Layout.MoreCode + 8, 0xfeeb_f0e6_90);
    }

    /// <summary>Entries of four levels with some bits wrong, and one access through them.</summary>
    /// <remarks>
    /// No instruction that reads and then writes the same operand: QEMU's processor looks at its reading first, real ones take it as a
    /// write (APM vol. 2 §8.4.2), which is compared at CPL 3 on the real one.
    /// </remarks>
    private static Scenario Paging(string name, Random r)
    {
        Scenario s = Begin(
            name, r, ScenarioMode.Long, ScenarioMode.LongUser, ScenarioMode.LongUser, ScenarioMode.Long, ScenarioMode.Pae, ScenarioMode.PaeUser,
            ScenarioMode.Paged, ScenarioMode.PagedUser, ScenarioMode.Compatibility, ScenarioMode.CompatibilityUser);
        bool pae = s.IsWide || s.Mode is ScenarioMode.Pae or ScenarioMode.PaeUser;
        bool wide = s.Bits == 64;
        SystemRegisters y = s.System;
        y.Cr0 = Chance(r, 50) ? y.Cr0 : y.Cr0 & ~0x1_0000ul;
        y.Cr4 |= (Chance(r, 30) ? 0x10_0000ul : 0) | (Chance(r, 30) ? 0x20_0000ul : 0) | (Chance(r, 30) ? 0x80ul : 0);
        y.Efer = pae && Chance(r, 15) ? y.Efer & ~0x800ul : y.Efer;
        y.Cr4 = !pae && Chance(r, 30) ? y.Cr4 & ~0x10ul : y.Cr4;
        s.System = y;
        s.Flags |= Chance(r, 50) ? 0x4_0000ul : 0;
        ulong @base = wide ? Layout.TestLong : Layout.TestLegacy;
        // Compatibility mode goes through the first entry of the top level.
        if (s.IsWide && !wide)
        {
            s.Put(0x7008, Entry(r, Layout.TestDirectory, pae, large: true));
        }
        else if (s.IsWide)
        {
            s.Put(Layout.Pml4 + 8, Entry(r, Layout.TestPointers, pae, large: false));
            s.Put(Layout.TestPointers, Entry(r, Layout.TestDirectory, pae, large: true));
        }

        if (pae)
        {
            s.Put(Layout.TestDirectory, Entry(r, Layout.TestTable, pae, large: true));
            for (ulong i = 32; i < 40; i++)
            {
                s.Put(Layout.TestTable + (i * 8), Entry(r, Layout.Frames + ((i - 32) << 12), pae, large: false));
            }
        }
        else
        {
            s.Put32(Layout.LegacyDirectory + 0x400, (uint)Entry(r, Layout.TestTable, pae, large: true));
            for (ulong i = 32; i < 40; i++)
            {
                s.Put32(Layout.TestTable + (i * 4), (uint)Entry(r, Layout.Frames + ((i - 32) << 12), pae, large: false));
            }
        }

        for (ulong at = Layout.Frames; at < Layout.Frames + 0x8000; at += 8)
        {
            s.Put(at, 0xfeeb_f0e6_feeb_f0e6);
        }

        ulong offset = Layout.Frames + (Chance(r, 60) ? 0x100 : Pick(r, 0xffcu, 0xffeu, 0xffdu, 0xfffu, 0xff8u));
        s.Registers[7] = @base + offset;
        s.Registers[6] = Chance(r, 50) ? @base + offset + 0x1000 : s.IsUser ? Layout.UserData : Layout.KernelData;
        string prefix = wide ? "48" : "";
        string op = Pick<string>(
            r, "8B07", "8907", prefix + "8B07", prefix + "8907", "FFE7", "FFE7", "FFD7", "A4", "A5",
            "0F2807", "0F1107", "F707FF000000", "FF37", "8F07", "0F18 07", "F20F1007", "9090");
        if (Chance(r, 10))
        {
            // The stack itself.
            s.Registers[4] = @base + offset + 4;
            op = Pick<string>(r, "50", "58", "E800000000", "9C", "C80800 00");
        }

        if (op is "FFE7" or "FFD7")
        {
            // To the beginning of an instruction there.
            s.Registers[7] &= ~3ul;
        }

        return s.Code(op);
    }

    private static ulong Entry(Random r, ulong address, bool pae, bool large)
    {
        ulong e = address | 7;
        e &= Chance(r, 6) ? ~Layout.Present : ulong.MaxValue;
        e &= Chance(r, 20) ? ~Layout.Writable : ulong.MaxValue;
        e &= Chance(r, 20) ? ~Layout.User : ulong.MaxValue;
        e |= (Chance(r, 30) ? Layout.Accessed : 0) | (Chance(r, 20) ? Layout.Dirty : 0) | (Chance(r, 20) ? 0x100ul : 0)
            | (Chance(r, 20) ? 0xe00ul : 0) | (Chance(r, 10) ? 0x18ul : 0);
        if (large && Chance(r, 15))
        {
            // A large page from address 0, sometimes with reserved bits below.
            // Bits 20:13 of a 4 MiB page are reserved nowhere: its address would be beyond the RAM.
            e = (e & 0xf7f) | Layout.Large | (Chance(r, 20) ? pae ? 0x10_0000ul : 0x20_0000 : 0) | (Chance(r, 20) ? 0x1000ul : 0)
                | (pae && Chance(r, 10) ? 0x2000ul : 0);
        }
        else if (!large && Chance(r, 5))
        {
            e |= Layout.Large;
        }

        if (pae)
        {
            e |= Chance(r, 12) ? Layout.NoExecute : 0;
            e |= Chance(r, 5) ? 1ul << Pick(r, 51, 48, 47, 46, 45, 44, 43, 42, 41, 40) : 0;
            e |= Chance(r, 5) ? 1ul << r.Next(52, 63) : 0;
        }

        return e;
    }

    private static ulong RandomDescriptor(Scenario s, Random r)
    {
        uint attributes = (uint)r.Next(16) | (Chance(r, 75) ? 0x10u : 0) | ((uint)r.Next(4) << 5) | (Chance(r, 85) ? 0x80u : 0)
            | (Chance(r, 30) ? 0x1000u : 0) | (Chance(r, 35) ? 0x2000u : 0) | (Chance(r, 50) ? 0x4000u : 0) | 0x8000;
        uint limit = 0xf_ffff;
        if (!s.IsWide && s.Name.StartsWith("transfer", StringComparison.Ordinal))
        {
            // There are no task gates and task segments here.
            attributes |= 0x10;
        }

        if (!s.IsWide)
        {
            // QEMU's processor takes L for something outside of long mode too.
            attributes &= ~0x2000u;
        }
        else if ((attributes & 0x98) == 0x18)
        {
            // Which of absent and not 64-bit is found first, the manuals do not say.
            attributes = (attributes & ~0x4000u) | 0x2000;
        }

        if ((attributes & 0x2018) == 0x2018)
        {
            // QEMU's processor runs code that is 64-bit and 32-bit at once.
            attributes &= ~0x4000u;
        }

        if ((attributes & 0x2018) == 0x18 && !s.Name.StartsWith("descriptor", StringComparison.Ordinal))
        {
            // Their code lies where 16-bit code cannot branch to.
            attributes |= 0x4000;
        }

        // Nor does it look at limits where far transfers and returns go.
        if (Chance(r, 20) && !s.Name.StartsWith("return", StringComparison.Ordinal) && !s.Name.StartsWith("transfer", StringComparison.Ordinal))
        {
            limit = Pick<uint>(r, 0, 0xffff, 0x67, 0x66, 0xf_fffe);
            attributes &= Chance(r, 50) ? ~0x8000u : ~0u;
        }

        // And begins at 0.
        return Layout.Descriptor(Chance(r, 75) || s.Name.StartsWith("return", StringComparison.Ordinal) ? 0 : Pick(r, Layout.KernelData, Layout.Tss64, 0xff00_0000, Layout.Tss64 + 0x8000_0000), limit, attributes);
    }

    /// <summary>A selector of a random descriptor, or one that is wrong in another way.</summary>
    private static ushort RandomSelector(Scenario s, Random r)
    {
        int rpl = r.Next(4);
        ulong high = Chance(r, 80) ? 0 : Chance(r, 50) ? 0xffff_8000 : Word(r);
        ulong descriptor = RandomDescriptor(s, r);
        switch (r.Next(12))
        {
            case 0:
                return (ushort)rpl;
            case 1:
                return (ushort)(Pick<ushort>(r, Layout.Code64, Layout.Data, 0x18, 0x20, 0x28, Layout.Task, Layout.Code32, Layout.Code16,
                    Layout.LdtSelector) | rpl);
            case 2:
                return (ushort)(Pick<int>(r, 0xf8, 0x100, 0x108, 0xfff8) | rpl);
            case 3 or 4:
                s.Put(Layout.Ldt + 0x20, descriptor);
                s.Put(Layout.Ldt + 0x28, high);
                return (ushort)(0x24 | rpl);
            case 5:
                return (ushort)(Pick<int>(r, 0xfc, 0x104) | rpl);
            default:
                s.Put(Layout.Gdt + Layout.Free, descriptor);
                s.Put(Layout.Gdt + Layout.Free + 8, high);
                return (ushort)(Layout.Free | rpl);
        }
    }

    /// <summary>Loads and inspections of segments.</summary>
    private static Scenario Descriptors(string name, Random r)
    {
        Scenario s = Begin(
            name, r, ScenarioMode.Long, ScenarioMode.LongUser, ScenarioMode.Compatibility, ScenarioMode.CompatibilityUser, ScenarioMode.Pae,
            ScenarioMode.PaeUser);
        ushort selector = RandomSelector(s, r);
        s.Registers[0] = (s.Registers[0] & ~0xfffful) | selector;
        s.Registers[1] = (s.Registers[1] & ~0xfffful) | selector;
        ulong top = s.Registers[4];
        s.Put(top, selector);
        if (Chance(r, 4))
        {
            SegmentRegister none = new() { Attributes = SegmentRegister.Unusable };
            s.System = s.System with { Ldt = none };
        }

        bool wide = s.Bits == 64;
        string code = Pick<string>(
            r, "8ED8", "8EC0", "8EE0", "8EE8", "8ED0", "8ED0", "8ED8", "0FA1", "0FA9", wide ? "480FA1" : "1F", wide ? "480FA9" : "17",
            "0F02D1", "0F02D1", "660F02D1", "0F03D1", "0F03D1", "660F03D1", "0F00E1", "0F00E9", "0F00D1", "0F00D1", "0F00D9", "0F00D9",
            wide ? "480F02D1" : "07", wide ? "480F03D1" : "66 1F");
        s.Code(code);
        if (code == "0F00D9" && !s.IsUser && (selector & ~3) == 0)
        {
            s.Says("end=vector13", "APM vol. 3, LTR: #GP for a null selector");
        }

        else if (code is "8ED0" && s.Bits == 64 && !s.IsUser && (selector & ~3) == 0 && (selector & 3) != 0)
        {
            s.Says("end=vector13", "SDM vol. 2, MOV: a null SS needs RPL = CPL");
        }
        else if (code.Contains("0F02", StringComparison.Ordinal) || code.Contains("0F03", StringComparison.Ordinal))
        {
            ulong descriptor = BitConverter.ToUInt64(s.Ram, (int)((selector & 4) != 0 ? Layout.Ldt : Layout.Gdt) + (selector & 0xff8));
            if (s.IsWide && (descriptor >> 40 & 0x1f) is 1 or 3 or 4 or 5)
            {
                s.Ignore("rflags", "QEMU's processor knows 16-bit system segments in long mode (SDM vol. 2, LAR and LSL)").Ignore("rdx", "as above");
            }
        }

        return s;
    }
}
