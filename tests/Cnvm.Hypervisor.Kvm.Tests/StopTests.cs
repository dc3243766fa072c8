using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Kvm.Tests;

public sealed class StopTests
{
    [SkippableFact]
    public void TripleFaultIsShutdown()
    {
        using var guest = new TestGuest(new RecordingBus());
        guest.Load(c => c.ud2());
        guest.Vcpu.Bind();
        Assert.Equal(new VcpuStop(VcpuStopReason.Shutdown), guest.Vcpu.Run());
    }

    [SkippableFact]
    public void InstructionThatKvmCannotEmulateIsFatalWithDisassembly()
    {
        using var guest = new TestGuest(new RecordingBus());

        // A 16-byte vector store to MMIO: no KVM emulates AVX on memory that is not RAM.
        guest.Load(c =>
        {
            c.mov(rbx, TestGuest.Mmio);
            c.mov(rsi, 0x1234_5678_9abc_def0);
            c.vmovdqu(__ymmword_ptr[rbx], ymm1);
            c.nop();
        });
        guest.Vcpu.Bind();
        VcpuStop stop = guest.Vcpu.Run();
        Assert.Equal(VcpuStopReason.Fatal, stop.Reason);
        Assert.NotNull(stop.Report);
        Assert.Contains("vmovdqu", stop.Report);
        Assert.Contains("c5 fe 7f 0b", stop.Report);
        Assert.Contains("RSI=123456789abcdef0", stop.Report);
        Assert.Contains("internal error 1", stop.Report);
        Assert.Equal(!KvmHypervisor.HostVirtualises(), stop.Report.Contains("neither VMX nor SVM"));
    }

    [SkippableFact]
    public void RunOnAnotherThreadThanBindIsRefused()
    {
        using var guest = new TestGuest(new RecordingBus());
        guest.Load(c => c.nop());
        Assert.Throws<InvalidOperationException>(() => guest.Vcpu.Run());
    }

    [SkippableFact]
    public void KickBeforeRunIsNotLostAndIsUsedUp()
    {
        var bus = new RecordingBus();
        using var guest = new TestGuest(bus);
        guest.Load(c =>
        {
            c.mov(dx, 0x700);
            Label again = c.CreateLabel();
            c.Label(ref again);
            c.@out(dx, al);
            c.jmp(again);
        });
        guest.Vcpu.Bind();
        guest.Vcpu.Kick();
        guest.Vcpu.Kick();
        Assert.Equal(VcpuStopReason.Kicked, guest.Vcpu.Run().Reason);
        Assert.Empty(bus.Accesses);
        bus.After = _ =>
        {
            if (bus.Accesses.Count == 10)
            {
                guest.Vcpu.Kick();
            }
        };
        Assert.Equal(VcpuStopReason.Kicked, guest.Vcpu.Run().Reason);
        Assert.Equal(10, bus.Accesses.Count);
    }

    [SkippableFact]
    public void KickWakesAProcessorThatWaitsToBeStarted()
    {
        using var guest = new TestGuest(new RecordingBus());
        using IVirtualCpu second = guest.Partition.CreateVcpu(1, 1, guest.Kvm.SupportedCpuid, new RecordingBus());
        VcpuStop stop = default;
        var thread = new Thread(() =>
        {
            second.Bind();
            stop = second.Run();
        });
        thread.Start();
        Thread.Sleep(50); // Most likely blocked in the kernel by now; either way the kick must do.
        second.Kick();
        Assert.True(thread.Join(TestGuest.Limit));
        Assert.Equal(VcpuStopReason.Kicked, stop.Reason);
        Assert.Equal(State.MpState.Uninitialized, second.Save().MpState);
    }

    [SkippableFact]
    public void DebuggerStopsAtBreakpointAndAfterStep()
    {
        using var guest = new TestGuest(new RecordingBus());
        Skip.IfNot(guest.Kvm.Capabilities.GuestDebug, "this host's KVM cannot stop a guest for a debugger");
        guest.Load(c =>
        {
            c.mov(eax, 1);
            c.mov(ebx, 2);
            c.mov(ecx, 3);
            c.ud2();
        });
        guest.Vcpu.Bind();
        guest.Vcpu.SetDebug(new VcpuDebug(SingleStep: false, [TestGuest.Code + 5]));
        Assert.Equal(VcpuStopReason.Debug, guest.Vcpu.Run().Reason);
        Assert.Equal(TestGuest.Code + 5, guest.Vcpu.Save().General.Rip);
        guest.Vcpu.SetDebug(new VcpuDebug(SingleStep: true, []));
        Assert.Equal(VcpuStopReason.Debug, guest.Vcpu.Run().Reason);
        Assert.Equal(TestGuest.Code + 10, guest.Vcpu.Save().General.Rip);
        Assert.Equal(2UL, guest.Vcpu.Save().General.Rbx);
        guest.Vcpu.SetDebug(null);
        Assert.Equal(VcpuStopReason.Shutdown, guest.Vcpu.Run().Reason);
        Assert.Throws<ArgumentOutOfRangeException>(() => guest.Vcpu.SetDebug(new VcpuDebug(false, [1, 2, 3, 4, 5])));
    }

    /// <summary>
    /// Kicks at every phase of the loop: in guest code, in an exit, just before and just after a run. Each must end exactly
    /// one run, and no run may end without one.
    /// </summary>
    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void NoKickIsEverLost(bool exits)
    {
        // Without hardware virtualisation a running guest notices a signal only at the host's next timer tick.
        int kicks = exits ? 3000 : KvmHypervisor.HostVirtualises() ? 3000 : 300;
        using var guest = new TestGuest(new CountingBus());
        guest.Load(c =>
        {
            c.mov(dx, 0x700);
            Label again = c.CreateLabel();
            c.Label(ref again);
            if (exits)
            {
                c.@out(dx, al);
            }

            c.jmp(again);
        });
        int returned = 0;
        Exception? failure = null;
        using var stopped = new SemaphoreSlim(0);
        var thread = new Thread(() =>
        {
            try
            {
                guest.Vcpu.Bind();
                for (int i = 0; i < kicks; i++)
                {
                    Assert.Equal(VcpuStopReason.Kicked, guest.Vcpu.Run().Reason);
                    Volatile.Write(ref returned, i + 1);
                    stopped.Release();
                }
            }
            catch (Exception e)
            {
                failure = e;
                stopped.Release();
            }
        });
        thread.Start();
        var random = new Random(20);
        for (int i = 0; i < kicks && failure is null; i++)
        {
            Thread.SpinWait(random.Next(400));
            Assert.Equal(i, Volatile.Read(ref returned));
            guest.Vcpu.Kick();
            Assert.True(stopped.Wait(TestGuest.Limit), $"kick {i} was lost");
        }

        Assert.True(thread.Join(TestGuest.Limit));
        Assert.Null(failure);
        Assert.Equal(kicks, returned);
    }
}
