using System.Diagnostics;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.State;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Consoles;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit.Abstractions;
using static Cnvm.Vmm.Tests.Snapshot.PayloadMachine;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>
/// A machine goes through snapshot and restore again and again. While it is away its clocks stand still, and none of them runs off from
/// the others, whatever the frequency of its TSC.
/// </summary>
public sealed class GuestTimeTests(ITestOutputHelper output) : IDisposable
{
    private const uint TimeStampCounter = 0x10;
    private const double NanosecondsPerSecond = 1e9;
    /// <summary>What reading two clocks one after the other, on a busy host, may put between them in one cycle: in seconds.</summary>
    private const double PerCycle = 50e-6;

    /// <summary>What a busy host may put between the question how late it is and the clocks' being set, on average: in seconds.</summary>
    private const double SettingPerCycle = 1e-3;

    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-time-").FullName;

    private static bool IsSoak => Environment.GetEnvironmentVariable("CNVM_SOAK") == "1";

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [SkippableTheory]
    [InlineData("soft", 0)]
    [InlineData("soft", 2_345_678)]
    [InlineData("soft", 731_003)]
    [InlineData("kvm", 0)]
    public void Clocks_do_not_drift_over_snapshots(string name, int khz)
    {
        int cycles = IsSoak ? 1000 : 40;
        VmConfig config = Config(khz);
        using IHypervisor hypervisor = Open(name);
        // A KVM without hardware virtualisation behind it shows guests the host's TSC, whatever is set.
        bool hasTsc = hypervisor.Capabilities.RunsOrdinaryGuests;
        using var consoles = ConsoleSet.Open(config, () => { });
        VirtualMachine machine = VirtualMachine.Create(hypervisor, config, consoles, NullLoggerFactory.Instance, Unexpected);
        try
        {
            machine.Start();
            WaitForRound(machine, 1);
            machine.Pause();
            Clocks first = Read(machine, out MachineState state);
            Assert.True(khz == 0 || first.TscKhz == khz, $"TSC of {first.TscKhz} kHz");
            Clocks before = first;
            double least = 0;
            double most = 0;
            double apart = 0;
            for (int i = 0; i < cycles; i++)
            {
                // A while in which the machine is nowhere.
                machine = Replace(machine, state, hypervisor, config, consoles, null, out long restored);
                Stopwatch running = Stopwatch.StartNew();
                machine.Resume();
                ulong round = Round(machine);
                WaitForRound(machine, round + 1);
                double inside = Seconds(running.ElapsedTicks);
                machine.Pause();
                double outside = Seconds(Stopwatch.GetTimestamp() - restored);
                Clocks now = Read(machine, out state);
                Assert.True((!hasTsc || now.Tsc > before.Tsc) && now.Paravirtual > before.Paravirtual, $"cycle {i}: a clock went back: {before} to {now}");
                least += inside;
                most += outside;
                apart = Math.Max(apart, Math.Abs((now.Paravirtual - first.Paravirtual) - (now.Tsc - first.Tsc)));
                before = now;
            }

            double tsc = before.Tsc - first.Tsc;
            double paravirtual = before.Paravirtual - first.Paravirtual;
            double devices = before.Devices - first.Devices;
            output.WriteLine(
                $"{name} {first.TscKhz} kHz: {cycles} cycles, TSC from {first.Tsc:F3} s, the guest ran {least * 1e3:F1} to {most * 1e3:F1} ms; TSC {tsc * 1e3:F3}, kvmclock {paravirtual * 1e3:F3}, "
                + $"devices {devices * 1e3:F3} ms; TSC and kvmclock at most {apart * 1e6:F1} us apart");

            // Both began to run when the vCPU's state was set, not before, and stopped at the pause.
            Assert.InRange(paravirtual, least, most);
            Assert.InRange(devices, 0, most);
            if (hasTsc)
            {
                Assert.InRange(tsc, least, most);
                Assert.InRange(apart, 0, cycles * PerCycle);
            }
        }
        finally
        {
            machine.Dispose();
        }
    }

    /// <summary>
    /// Clocks that are to have gone on lag behind the host's by as much as setting them takes, not by what the machine is away or being made. Not on a KVM
    /// without hardware virtualisation: its TSC cannot be set, and it takes a millisecond or two to set a vCPU, all of which counts.
    /// </summary>
    [Theory]
    [InlineData(0)]
    [InlineData(731_003)]
    public void Clocks_that_advance_keep_up_with_the_host_over_snapshots(int khz)
    {
        int cycles = IsSoak ? 1000 : 40;
        VmConfig config = Config(khz);
        using IHypervisor hypervisor = Open("soft");
        using var consoles = ConsoleSet.Open(config, () => { });
        VirtualMachine machine = VirtualMachine.Create(hypervisor, config, consoles, NullLoggerFactory.Instance, Unexpected);
        try
        {
            machine.Start();
            WaitForRound(machine, 1);
            machine.Pause();
            Clocks first = Read(machine, out MachineState state);
            ulong began = state.Clock.RealtimeNanoseconds;
            Clocks now = first;
            for (int i = 0; i < cycles; i++)
            {
                Func<ulong>? age = ClockAdvance.Age(state, ClockRestoreMode.Advance, static () => ParavirtualClock.RealtimeNow);
                machine = Replace(machine, state, hypervisor, config, consoles, age, out _);
                ulong round = Round(machine);
                machine.Resume();
                WaitForRound(machine, round + 1);
                machine.Pause();
                now = Read(machine, out state);
            }

            double host = (state.Clock.RealtimeNanoseconds - began) / NanosecondsPerSecond;
            double paravirtual = host - (now.Paravirtual - first.Paravirtual);
            double devices = host - (now.Devices - first.Devices);
            double tsc = host - (now.Tsc - first.Tsc);
            output.WriteLine(
                $"{first.TscKhz} kHz: {cycles} cycles in {host * 1e3:F1} ms; behind the host's clock are TSC {tsc * 1e3:F3}, kvmclock {paravirtual * 1e3:F3}, devices {devices * 1e3:F3} ms");
            double ahead = -cycles * PerCycle;
            double behind = cycles * SettingPerCycle;
            Assert.InRange(paravirtual, ahead, behind);
            Assert.InRange(devices, ahead, behind);
            Assert.InRange(tsc, ahead, behind);
        }
        finally
        {
            machine.Dispose();
        }
    }

    [Theory]
    [InlineData(ClockRestoreMode.Hold, 0)]
    [InlineData(ClockRestoreMode.Advance, 3600)]
    public void Clocks_stand_still_or_have_gone_on_as_asked(ClockRestoreMode mode, int seconds)
    {
        const ulong Then = 1_700_000_000_000_000_000;
        MachineState state = SampleState.Make();
        state = state with { Clock = state.Clock with { RealtimeNanoseconds = Then } };
        Func<ulong>? age = ClockAdvance.Age(state, mode, () => Then + 3_600_000_000_000);
        MachineState moved = age is null ? state : ClockAdvance.By(state, age());
        Assert.Equal((ulong)seconds * 1_000_000_000, moved.Clock.Nanoseconds - state.Clock.Nanoseconds);
        Assert.Equal((ulong)seconds * 1_000_000_000, moved.Clock.RealtimeNanoseconds - state.Clock.RealtimeNanoseconds);
        Assert.Equal((ulong)seconds * 1_000_000_000, moved.VmTime - state.VmTime);

        // A host whose clock is behind does not turn a guest's back, and one that knows no time is named.
        Assert.Equal(0ul, ClockAdvance.Age(state, mode, () => Then - 5)?.Invoke() ?? 0);
        MachineState unknown = state with { Clock = state.Clock with { RealtimeNanoseconds = 0 } };
        if (mode == ClockRestoreMode.Advance)
        {
            Assert.Contains("Hold", Assert.Throws<SnapshotException>(() => ClockAdvance.Age(unknown, mode, () => Then)).Message, StringComparison.Ordinal);
        }
    }

    /// <summary>Saves the memory, throws the machine away and makes it anew from what was saved.</summary>
    /// <param name="age">By how much its clocks have gone on; null: not at all.</param>
    /// <param name="restored">When its clocks may first have run.</param>
    private VirtualMachine Replace(
        VirtualMachine machine, MachineState state, IHypervisor hypervisor, VmConfig config, ConsoleSet consoles, Func<ulong>? age, out long restored)
    {
        string path = Path.Combine(_folder, "memory");
        MemoryState memory;
        using (var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write))
        {
            memory = MemoryFileWriter.Write(file, MemoryFileWriter.Plan(machine.Ram), machine.Ram.Memory);
        }

        machine.Dispose();
        byte[] bytes = StateWriter.Write(state with { Memory = memory }, MachineElements.Describe);
        MachineState read = StateReader.Read<MachineState>(bytes, MachineElements.Describe);
        var image = new MemoryImage(path, read.Memory, MemoryRestoreMode.Copy, prefault: false);
        restored = Stopwatch.GetTimestamp();
        return VirtualMachine.Restore(hypervisor, config, consoles, NullLoggerFactory.Instance, Unexpected, read, image, age);
    }

    private VmConfig Config(int khz)
    {
        string profile = Path.Combine(_folder, "profile.json");
        File.WriteAllText(profile, $$"""{"name":"clocks","tsc_khz":{{khz}},"cpuid_modifiers":[]}""");
        return Configure(Image(), profile);
    }

    private static Clocks Read(VirtualMachine machine, out MachineState state)
    {
        state = machine.Save(new byte[16], "test", MemoryFileWriter.Plan(machine.Ram));
        VcpuState vcpu = state.Vcpus[0].State;
        return new Clocks(
            vcpu.Msrs.Single(m => m.Index == TimeStampCounter).Value / (vcpu.TscKhz * 1e3),
            state.Clock.Nanoseconds / NanosecondsPerSecond,
            state.VmTime / NanosecondsPerSecond,
            vcpu.TscKhz);
    }

    private static double Seconds(long ticks) => (double)ticks / Stopwatch.Frequency;

    /// <summary>The guest's clocks in seconds.</summary>
    private sealed record Clocks(double Tsc, double Paravirtual, double Devices, uint TscKhz);
}
