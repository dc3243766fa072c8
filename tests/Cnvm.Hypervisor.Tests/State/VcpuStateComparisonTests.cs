using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.State;
using Cnvm.Tests.State;

namespace Cnvm.Hypervisor.Tests.State;

/// <summary>What debug builds and every round trip rely on: a comparison that sees nothing finds all states equal.</summary>
public sealed class VcpuStateComparisonTests
{
    private const uint Tsc = 0x10;
    private const uint Pat = 0x277;
    private const uint Offered = 0x1a0;

    [Fact]
    public void EveryElementThatDiffersIsNamed()
    {
        VcpuState a = Sample();
        (string Name, VcpuState Other)[] others =
        [
            ("CPUID", a with { Cpuid = new CpuidTable([.. a.Cpuid.Take(1)]) }),
            ("MP state", a with { MpState = MpState.Runnable }),
            ("registers", a with { General = a.General with { R15 = 0xdead } }),
            ("system registers", a with { System = a.System with { Cr2 = 0xdead } }),
            ("XCR0", a with { Xcr0 = 0xdead }),
            ("DR6", a with { Dr6 = 0xdead }),
            ("DR7", a with { Dr7 = 0xdead }),
            ("events", a with { Events = a.Events with { NmiMasked = !a.Events.NmiMasked } }),
            ("DR2", a with { DebugAddresses = a.DebugAddresses.SetItem(2, 0xdead) }),
            ("XSAVE byte 0x20", a with { Xsave = a.Xsave.SetItem(0x20, 0) }),
            ("LAPIC byte 0x80", a with { Lapic = a.Lapic.SetItem(0x80, (byte)(a.Lapic[0x80] ^ 0xff)) }),
            ("MSR 0x277", a with { Msrs = a.Msrs.SetItem(1, new MsrValue(Pat, 8)) }),
            ("MSR 0x277", a with { Msrs = a.Msrs.RemoveAt(1) }),
        ];
        Assert.Equal("", VcpuStateComparison.Differences(a, a));
        Assert.All(others, o => Assert.StartsWith($"\n  {o.Name}: ", VcpuStateComparison.Differences(a, o.Other), StringComparison.Ordinal));
        string message = Assert.Throws<HypervisorException>(() => VcpuStateComparison.ThrowIfDifferent(3, a, others[^1].Other)).Message;
        Assert.StartsWith("vCPU 3: restored state does not read back:\n  MSR 0x277: 7 / ", message, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatTimeOrTheHostChangesIsNoDifference()
    {
        VcpuState a = Sample();
        VcpuState b = a with
        {
            TscTimestamp = a.TscTimestamp + 1,
            Msrs = [new MsrValue(Tsc, 99), new MsrValue(Pat, 7), new MsrValue(Offered, 2) { Policy = MsrPolicy.Offer }],
            Lapic = a.Lapic.SetItem(0x30, 0x99).SetItem(0x390, 0x99),
        };
        Assert.Equal("", VcpuStateComparison.Differences(a, b));

        // A register that holds nothing is the same as none.
        Assert.Equal("", VcpuStateComparison.Differences(a with { Msrs = a.Msrs.Add(new MsrValue(0x48, 0)) }, b));
    }

    private static VcpuState Sample() => new StateFiller().Fill<VcpuState>() with
    {
        Msrs = [new MsrValue(Tsc, 5), new MsrValue(Pat, 7), new MsrValue(Offered, 1) { Policy = MsrPolicy.Offer }],
    };
}
