using System.Runtime.Intrinsics.X86;
using Cnvm.Hypervisor.State;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Kvm.Tests;

/// <summary>Saves a vCPU in the middle of its work and goes on elsewhere.</summary>
public sealed class StateTests
{
    private const ushort ReportPort = 0x700;

    /// <summary>Counts in RBX, in XMM1 and (with AVX) in every lane of YMM2, and reports the sum of all on a port.</summary>
    private static void Counter(Assembler c)
    {
        Label again = c.CreateLabel();
        c.mov(eax, 1);
        c.movd(xmm0, eax);
        c.pshufd(xmm0, xmm0, 0);
        c.pxor(xmm1, xmm1);
        if (Avx2.IsSupported)
        {
            c.vpbroadcastd(ymm3, xmm0);
            c.vpxor(ymm2, ymm2, ymm2);
        }

        c.xor(ebx, ebx);
        c.mov(dx, ReportPort);
        c.Label(ref again);
        c.inc(ebx);
        c.paddd(xmm1, xmm0);
        c.movd(eax, xmm1);
        c.add(eax, ebx);
        if (Avx2.IsSupported)
        {
            c.vpaddd(ymm2, ymm2, ymm3);
            c.vextracti128(xmm4, ymm2, 1);
            c.movd(ecx, xmm4);
            c.add(eax, ecx);
        }

        c.@out(dx, eax);
        c.jmp(again);
    }

    private static ulong Step => Avx2.IsSupported ? 3UL : 2;

    /// <summary>Switches SSE and AVX on: CR4.OSFXSR and OSXMMEXCPT are set, XCR0 needs CR4.OSXSAVE.</summary>
    private static void AllowVectors(TestGuest guest)
    {
        VcpuState state = guest.Vcpu.Save();
        Cnvm.Arch.Registers.SystemRegisters system = state.System;
        system.Cr4 |= 1 << 18;
        guest.Vcpu.Restore(state with { System = system, Xcr0 = Avx2.IsSupported ? 7UL : 3 });
    }

    private static TestGuest Build(out RecordingBus bus, int stopAfter)
    {
        bus = new RecordingBus();
        var guest = new TestGuest(bus);
        StopAfter(guest, bus, stopAfter);
        guest.Vcpu.Bind();
        return guest;
    }

    private static void StopAfter(TestGuest guest, RecordingBus bus, int reports) => bus.After = _ =>
    {
        if (bus.Accesses.Count == reports)
        {
            guest.Vcpu.Kick();
        }
    };

    [SkippableFact]
    public void SavedStateGoesOnInAFreshMachine()
    {
        using TestGuest first = Build(out RecordingBus seen, stopAfter: 25);
        first.Load(Counter);
        AllowVectors(first);
        Assert.Equal(VcpuStopReason.Kicked, first.Vcpu.Run().Reason);
        VcpuState saved = first.Vcpu.Save();
        Assert.Equal(string.Empty, VcpuStateComparison.Differences(saved, first.Vcpu.Save()));

        using TestGuest second = Build(out RecordingBus goneOn, stopAfter: 10);
        first.Memory.GetSpan(0, (int)TestGuest.RamSize).CopyTo(second.Memory.GetSpan(0, (int)TestGuest.RamSize));
        second.Vcpu.Restore(saved);
        Assert.Equal(string.Empty, VcpuStateComparison.Differences(saved, second.Vcpu.Save()));
        Assert.Equal(VcpuStopReason.Kicked, second.Vcpu.Run().Reason);

        ulong[] all = [.. seen.Accesses.Concat(goneOn.Accesses).Select(a => a.Value)];
        Assert.Equal(Enumerable.Range(1, 35).Select(i => (ulong)i * Step), all);

        // The first machine is unharmed by having been saved.
        StopAfter(first, seen, 30);
        Assert.Equal(VcpuStopReason.Kicked, first.Vcpu.Run().Reason);
        Assert.Equal(30 * Step, seen.Accesses[^1].Value);
    }

    [SkippableFact]
    public void EveryElementIsRestored()
    {
        using TestGuest first = Build(out _, 1);
        first.Load(Counter);
        AllowVectors(first);
        first.Vcpu.Run();
        VcpuState saved = first.Vcpu.Save();
        byte[] xsave = [.. saved.Xsave];
        xsave[0xa0 + 5] = 0x5a; // XMM0
        byte[] lapic = [.. saved.Lapic];
        lapic[0x80] = 0x20; // TPR, which CR8 mirrors, and PPR, which follows from it
        lapic[0xa0] = 0x20;
        Cnvm.Arch.Registers.SystemRegisters system = saved.System;
        system.Cr2 = 0x123000;
        system.Cr8 = 2;
        VcpuState changed = saved with
        {
            MpState = MpState.Halted,
            General = saved.General with { R15 = 0xfeed, Rflags = saved.General.Rflags | 1 },
            System = system,
            Xsave = [.. xsave],
            Lapic = [.. lapic],
            DebugAddresses = [0x1000, 0x2000, 0x3000, 0x4000],
            Dr7 = 0x400 | 0x1,
            Msrs = [.. saved.Msrs.Select(m => m.Index == 0xc000_0082 ? m with { Value = 0xffff_8000_1234_5000 } : m)],
            Events = saved.Events with { NmiPending = true, NmiMasked = true, InterruptShadow = 2 },
        };
        using TestGuest second = Build(out _, 1);
        second.Vcpu.Restore(changed);
        Assert.Equal(string.Empty, VcpuStateComparison.Differences(changed, second.Vcpu.Save()));
        Assert.NotEqual(string.Empty, VcpuStateComparison.Differences(changed, saved));
    }

    [SkippableFact]
    public void TimeGoesOnForTheGuest()
    {
        using TestGuest first = Build(out _, 1);
        first.Load(Counter);
        first.Vcpu.Run();
        VcpuState saved = first.Vcpu.Save();
        using TestGuest second = Build(out _, 1);
        second.Vcpu.Restore(saved);
        ulong before = saved.Msrs.Single(m => m.Index == MsrIndex.TimeStampCounter).Value;
        ulong after = second.Vcpu.Save().Msrs.Single(m => m.Index == MsrIndex.TimeStampCounter).Value;
        Assert.InRange(after, before, before + (60_000UL * saved.TscKhz));
    }

    [SkippableFact]
    public void StateThatDoesNotFitIsRefusedByName()
    {
        using TestGuest guest = Build(out _, 1);
        guest.Load(Counter);
        VcpuState saved = guest.Vcpu.Save();
        byte[] large = new byte[saved.Xsave.Length + 64];
        BitConverter.TryWriteBytes(large.AsSpan(512), 1UL << 62);
        Assert.Contains("XSAVE", Refusal(saved with { Xsave = [.. large] }));
        Assert.Contains("APIC", Refusal(saved with { Lapic = [1, 2, 3] }));
        Assert.Contains("0x4b564dff", Refusal(saved with { Msrs = [new MsrValue(0x4b56_4dff, 1)] }));
        Assert.Equal(string.Empty, VcpuStateComparison.Differences(saved, guest.Vcpu.Save()));

        string Refusal(VcpuState state) => Assert.Throws<HypervisorException>(() => guest.Vcpu.Restore(state)).Message;
    }
}
