using System.Collections.Immutable;
using System.Globalization;
using System.Reflection;
using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Registers;
using Cnvm.Hypervisor.State;
using Cnvm.Tests.State;

namespace Cnvm.Hypervisor.Tests.State;

/// <summary>What debug builds and every round trip rely on: a comparison that sees nothing finds all states equal.</summary>
public sealed class VcpuStateComparisonTests
{
    private const uint Tsc = 0x10;
    private const uint Offered = 0x1a0;
    private const uint Pat = 0x277;
    private const uint TscDeadline = 0x6e0;
    private const uint UsableSegment = 0x93;
    private const int MxcsrMask = 28;
    private const int SseEnd = 416;
    private const int XsaveHeader = 512;
    private const int AvxStart = 576;
    private const int AvxBytes = 256;

    /// <summary>What a difference begins with, by the property that it is in.</summary>
    private static readonly Dictionary<string, string> Names = new()
    {
        ["Cpuid"] = "CPUID: ",
        ["MpState"] = "MP state: ",
        ["General"] = "registers: ",
        ["System"] = "system registers: ",
        ["Xsave"] = "XSAVE byte 0x",
        ["Xcr0"] = "XCR0: ",
        ["DebugAddresses"] = "DR",
        ["Dr6"] = "DR6: ",
        ["Dr7"] = "DR7: ",
        ["Lapic"] = "LAPIC byte 0x",
        ["Msrs"] = "MSR 0x",
        ["Events"] = "events: ",
        ["TscKhz"] = "TSC kHz: ",
    };

    /// <summary>One after the other, whatever can be changed in a state is, however deep it lies.</summary>
    [Fact]
    public void EveryElementThatDiffersIsSeenAndNamed()
    {
        VcpuState sample = Sample();
        Assert.Equal("", VcpuStateComparison.Differences(sample, sample));
        var unseen = new List<string>();
        foreach ((string path, object changed) in Changes(sample, ""))
        {
            string differences = VcpuStateComparison.Differences(sample, (VcpuState)changed);
            if (differences.Length == 0)
            {
                unseen.Add(path);
            }
            else
            {
                Assert.StartsWith("\n  " + Names[path.Split('/')[1]], differences, StringComparison.Ordinal);
            }
        }

        Assert.Equal(MayDiffer().Order(StringComparer.Ordinal), unseen.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void WhatIsMissingOnOneSideIsSeen()
    {
        VcpuState sample = Sample();
        Assert.Equal("\n  MSR 0x277: 7 / ", VcpuStateComparison.Differences(sample, sample with { Msrs = sample.Msrs.RemoveAt(2) }));
        for (int component = 0; component < 3; component++)
        {
            byte others = (byte)(sample.Xsave[XsaveHeader] & ~(1 << component));
            VcpuState without = sample with { Xsave = sample.Xsave.SetItem(XsaveHeader, others) };
            Assert.StartsWith("\n  XSAVE byte 0x", VcpuStateComparison.Differences(sample, without), StringComparison.Ordinal);
            Assert.StartsWith("\n  XSAVE byte 0x", VcpuStateComparison.Differences(without, sample), StringComparison.Ordinal);
        }

        VcpuState changed = sample with { Dr7 = 0x400 };
        string message = Assert.Throws<HypervisorException>(() => VcpuStateComparison.ThrowIfDifferent(3, sample, changed)).Message;
        Assert.StartsWith("vCPU 3: restored state does not read back:\n  DR7: ", message, StringComparison.Ordinal);
        VcpuStateComparison.ThrowIfDifferent(3, sample, sample);
    }

    [Fact]
    public void WhatTimeOrTheHostChangesIsNoDifference()
    {
        VcpuState sample = Sample();
        SystemRegisters system = sample.System;

        // What processors keep of a segment that nobody can use, and whether they set what the architecture does not ask for.
        system.Es = default(SegmentRegister) with { Selector = system.Es.Selector };
        VcpuState wanted = sample with
        {
            System = system,
            Xsave = [.. sample.Xsave.Take(AvxStart), .. new byte[AvxBytes]],
            Msrs = sample.Msrs.Add(new MsrValue(0xc000_0103, 0)),
            TscKhz = 2_000_000,
        };
        system.Es = system.Es with { Attributes = SegmentRegister.Unusable, Limit = 0xffff, Base = 0x1000 };
        system.Ds = system.Ds with { Attributes = system.Ds.Attributes & ~1u };
        system.Tr = system.Tr with { Attributes = system.Tr.Attributes & ~2u };
        VcpuState found = wanted with
        {
            System = system,

            // A component that is initial is in use or not, and what ends earlier is zero from there on.
            Xsave = [.. wanted.Xsave.Take(AvxStart).Select((b, i) => i == XsaveHeader ? (byte)(b & ~4) : b)],
            Msrs = [new MsrValue(Tsc, 99), new MsrValue(Offered, 2), new MsrValue(Pat, 7), new MsrValue(TscDeadline, 0)],
            TscKhz = 2_000_500,
            TscTimestamp = 99,
        };
        Assert.Equal("", VcpuStateComparison.Differences(wanted, found));
        Assert.Equal("", VcpuStateComparison.Differences(wanted, found with { TscKhz = 1_999_501 }));
        Assert.StartsWith(
            "\n  TSC kHz: ", VcpuStateComparison.Differences(wanted, found with { TscKhz = 2_000_501 }), StringComparison.Ordinal);
    }

    /// <summary>The only changes that are none.</summary>
    private static IEnumerable<string> MayDiffer() =>
    [
        "/TscTimestamp",
        // Registers that time changes or that describe the host; and a policy tells whether values are compared.
        .. from msr in (uint[])[Tsc, Offered, TscDeadline]
           from property in (string[])["Index", "Value", "Policy"]
           select $"/Msrs/{IndexOf(msr)}/{property}",
        $"/Msrs/{IndexOf(Pat)}/Policy",
        // Bits of MXCSR that the host has, what is reserved, and components in use that the CPUID has no place for.
        .. Bytes("Xsave", MxcsrMask, 4),
        .. Bytes("Xsave", SseEnd, AvxStart - SseEnd),
        // Version and current count.
        .. Bytes("Lapic", 0x30, 4),
        .. Bytes("Lapic", 0x390, 4),
    ];

    private static IEnumerable<string> Bytes(string property, int start, int count) => Enumerable.Range(start, count).Select(i => $"/{property}/{i}");

    private static int IndexOf(uint msr) => Sample().Msrs.Select(m => m.Index).ToList().IndexOf(msr);

    /// <summary>Every element has a value and counts: segments are usable, and components of the XSAVE area in use.</summary>
    private static VcpuState Sample()
    {
        VcpuState filled = new StateFiller().Fill<VcpuState>();
        object system = filled.System;
        foreach (PropertyInfo property in Settable(typeof(SystemRegisters)))
        {
            if (property.GetValue(system) is SegmentRegister segment)
            {
                property.SetValue(system, segment with { Attributes = UsableSegment });
            }
        }

        byte[] xsave = [.. Enumerable.Range(0, AvxStart + AvxBytes).Select(i => (byte)(i | 1))];
        xsave.AsSpan(XsaveHeader, AvxStart - XsaveHeader).Clear();
        xsave[XsaveHeader] = 7;
        return filled with
        {
            Cpuid = new CpuidTable([.. filled.Cpuid, new CpuidEntry { Leaf = 0xd, Subleaf = 2, HasSubleaf = true, Eax = AvxBytes, Ebx = AvxStart }]),
            System = (SystemRegisters)system,
            Xsave = [.. xsave],
            Msrs = [new MsrValue(Tsc, 5), new MsrValue(Offered, 1), new MsrValue(Pat, 7), new MsrValue(TscDeadline, 9)],
        };
    }

    /// <summary>Everything in a value that can be changed, by its path, and the value with that alone changed.</summary>
    private static IEnumerable<(string Path, object Changed)> Changes(object value, string path) => value switch
    {
        bool b => [(path, !b)],
        byte n => [(path, (byte)(n ^ 0x20))],
        ushort n => [(path, (ushort)(n ^ 0x20))],
        uint n => [(path, n ^ 0x20)],
        ulong n => [(path, n ^ 0x20)],
        Enum e => [(path, Enum.ToObject(e.GetType(), Convert.ToUInt64(e, CultureInfo.InvariantCulture) ^ 1))],
        ImmutableArray<byte> bytes => Items(bytes, path, static changed => changed.ToImmutableArray()),
        ImmutableArray<ulong> numbers => Items(numbers, path, static changed => changed.ToImmutableArray()),
        ImmutableArray<MsrValue> msrs => Items(msrs, path, static changed => changed.ToImmutableArray()),
        CpuidTable table => Items(table, path, static changed => new CpuidTable(changed)),
        _ => Properties(value, path),
    };

    private static IEnumerable<(string Path, object Changed)> Items<T>(IReadOnlyList<T> items, string path, Func<IEnumerable<T>, object> make) =>
        from i in Enumerable.Range(0, items.Count)
        from change in Changes(items[i]!, $"{path}/{i}")
        select (change.Path, make(items.Select((item, j) => j == i ? (T)change.Changed : item)));

    private static IEnumerable<(string Path, object Changed)> Properties(object record, string path)
    {
        PropertyInfo[] properties = Settable(record.GetType());
        Assert.True(properties.Length > 0, $"{path}: nothing can be changed in a {record.GetType().Name}");
        return from property in properties
               from change in Changes(property.GetValue(record)!, $"{path}/{property.Name}")
               select (change.Path, With(record, property, change.Changed));
    }

    private static object With(object record, PropertyInfo property, object value)
    {
        object copy = typeof(object).GetMethod(nameof(MemberwiseClone), BindingFlags.Instance | BindingFlags.NonPublic)!.Invoke(record, null)!;
        property.SetValue(copy, value);
        return copy;
    }

    private static PropertyInfo[] Settable(Type type) =>
        [.. type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.SetMethod is not null)];
}
