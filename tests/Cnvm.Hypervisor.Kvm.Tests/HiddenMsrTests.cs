using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Registers;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Kvm.Tests;

public sealed class HiddenMsrTests
{
    private const ushort StopPort = 0x604;
    private const byte GeneralProtection = 13;
    private const uint Pat = 0x277;

    /// <summary>The guest writes 1 to the stop port when it has read the register, and 2 from its handler of #GP.</summary>
    private static ulong Read(uint msr)
    {
        ulong answer = 0;
        var bus = new RecordingBus();
        using var guest = new TestGuest(bus);
        const ulong Handler = 0x4_0000;
        guest.Put(c => Stop(c, 2), Handler);
        guest.Handle(GeneralProtection, Handler);
        guest.Put(
            c =>
            {
                c.mov(ecx, msr);
                c.rdmsr();
                Stop(c, 1);
            },
            TestGuest.Code);
        guest.Vcpu.SetEntry(TestGuest.SupervisorEntry(TestGuest.Code));
        bus.After = a =>
        {
            if (a.Kind == "out" && a.Address == StopPort)
            {
                answer = a.Value;
                guest.Vcpu.Kick();
            }
        };
        guest.Vcpu.Bind();
        Assert.Equal(new VcpuStop(VcpuStopReason.Kicked), guest.Vcpu.Run());
        return answer;
    }

    private static void Stop(Assembler c, int value)
    {
        c.mov(eax, value);
        c.mov(dx, StopPort);
        c.@out(dx, al);
        c.hlt();
    }

    [SkippableFact]
    public void HiddenRegistersDoNotExistAndOthersDo()
    {
        using (KvmHypervisor kvm = TestHost.Open())
        {
            Skip.IfNot(kvm.Capabilities.MsrFilter, "this kernel has no KVM_CAP_X86_MSR_FILTER");
        }

        MsrRange hidden = TestGuest.HiddenMsrs;
        Assert.Equal(1UL, Read(Pat));
        Assert.Equal(2UL, Read(hidden.First));
        Assert.Equal(2UL, Read(hidden.First + hidden.Count - 1));
    }

    [SkippableFact]
    public void EveryRangeOfThePerformanceCountersIsAccepted()
    {
        using KvmHypervisor kvm = TestHost.Open();
        Skip.IfNot(kvm.Capabilities.MsrFilter, "this kernel has no KVM_CAP_X86_MSR_FILTER");

        using IPartition partition = kvm.CreatePartition(new PartitionOptions { MaxVcpus = 1, HiddenMsrs = PerformanceMsrs.All });

        Assert.Throws<ArgumentOutOfRangeException>(
            () => kvm.CreatePartition(new PartitionOptions { MaxVcpus = 1, HiddenMsrs = [.. PerformanceMsrs.All, .. PerformanceMsrs.All] }).Dispose());
    }
}
