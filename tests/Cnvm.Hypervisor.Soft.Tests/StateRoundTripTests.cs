using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.Kvm;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State;
using Cnvm.Linux;

namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>A vCPU's state from KVM to the software processor and back.</summary>
public sealed class StateRoundTripTests
{
    private const uint Tsc = 0x10;

    [SkippableFact]
    public void State_goes_from_kvm_to_soft_and_back_without_a_change()
    {
        Skip.IfNot(Differential.KvmProcessor.IsAvailable(), "no /dev/kvm");
        using SoftHypervisor soft = SoftHypervisor.Create();
        using KvmHypervisor kvm = KvmHypervisor.Open();
        using MappedMemory memory = MappedMemory.Anonymous(1 << 20);
        PartitionOptions options = new() { MaxVcpus = 1 };
        TestBus bus = new();
        using IPartition kvmPartition = kvm.CreatePartition(options);
        kvmPartition.MapRam(new RamRegion(0, 1 << 20, memory.Address));
        CpuidTable cpuid = soft.SupportedCpuid;
        using IVirtualCpu real = kvmPartition.CreateVcpu(0, 0, cpuid, bus);
        real.Bind();
        real.Restore(Filled(real.Save()));
        VcpuState first = real.Save();

        using IPartition softPartition = soft.CreatePartition(options);
        softPartition.MapRam(new RamRegion(0, 1 << 20, memory.Address));
        using IVirtualCpu software = softPartition.CreateVcpu(0, 0, cpuid, bus);
        software.Bind();
        software.Restore(first);
        VcpuState second = software.Save();
        AssertSame(first, second);

        real.Restore(second);
        VcpuState third = real.Save();
        AssertSame(first, third);
    }

    /// <summary>However long restoring takes, the TSCs of vCPUs that were saved together are one; a guest that set them apart keeps that.</summary>
    [Fact]
    public void Tscs_saved_together_are_one_again()
    {
        const uint Khz = 2_000_000;
        const ulong Minute = 60UL * Khz * 1000;
        using SoftHypervisor soft = SoftHypervisor.Create();
        using var partition = (SoftPartition)soft.CreatePartition(new PartitionOptions { MaxVcpus = 4 });
        ulong first = partition.TscOffset(0, 5_000_000, scaled: 1_000_000, Khz);
        Assert.Equal(4_000_000UL, first);
        Assert.Equal(first, partition.TscOffset(1, 5_000_000, scaled: 1_000_000 + Minute, Khz));
        Assert.Equal(first, partition.TscOffset(2, 5_000_100, scaled: 1_000_000 + (2 * Minute), Khz));
        Assert.NotEqual(first, partition.TscOffset(3, 5_000_000 + Minute, scaled: 1_000_000 + (2 * Minute), Khz));

        // Restored again, they go on from what was saved.
        Assert.Equal(unchecked(4_000_000 - Minute), partition.TscOffset(0, 5_000_000, scaled: 1_000_000 + Minute, Khz));
    }

    /// <summary>What is saved here is also taken here, so that no snapshot is refused where it was made.</summary>
    [Fact]
    public void The_registers_that_are_saved_are_those_that_a_host_says_it_has()
    {
        using SoftMachine machine = new();
        using SoftHypervisor soft = SoftHypervisor.Create();
        Assert.All(machine.Vcpu.Save().Msrs, m => Assert.Contains(m.Index, soft.Msrs));
        Assert.False(soft.Msrs.Contains(0xc000_0103 + 0x1000));
        Assert.Equal(soft.Msrs.Order().Distinct(), soft.Msrs);
    }

    [SkippableFact]
    public void Kvm_has_the_registers_that_it_saves()
    {
        Skip.IfNot(Differential.KvmProcessor.IsAvailable(), "no /dev/kvm");
        using KvmHypervisor kvm = KvmHypervisor.Open();
        using IPartition partition = kvm.CreatePartition(new PartitionOptions { MaxVcpus = 1 });
        using IVirtualCpu vcpu = partition.CreateVcpu(0, 0, kvm.SupportedCpuid, new TestBus());
        vcpu.Bind();
        Assert.All(vcpu.Save().Msrs, m => Assert.Contains(m.Index, kvm.Msrs));
    }

    private static void AssertSame(VcpuState a, VcpuState b)
    {
        Assert.Equal(a.Cpuid, b.Cpuid);
        Assert.Equal(a.MpState, b.MpState);
        Assert.Equal(a.General, b.General);
        Assert.Equal(a.System, b.System);
        Assert.Equal(a.Xcr0, b.Xcr0);
        Assert.Equal(Convert.ToHexString(a.Xsave.AsSpan()), Convert.ToHexString(b.Xsave.AsSpan()));
        Assert.Equal(a.DebugAddresses.AsSpan(), b.DebugAddresses.AsSpan());
        Assert.Equal((a.Dr6, a.Dr7), (b.Dr6, b.Dr7));
        Assert.Equal(Convert.ToHexString(a.Lapic.AsSpan()), Convert.ToHexString(b.Lapic.AsSpan()));
        Assert.Equal(a.Events, b.Events);
        Assert.Equal(a.TscKhz, b.TscKhz);
        Assert.Equal(string.Empty, Text(a.Msrs.Except(b.Msrs)));
        Assert.Equal(string.Empty, Text(b.Msrs.Except(a.Msrs)));
    }

    /// <summary>The time-stamp counter goes on meanwhile.</summary>
    private static string Text(IEnumerable<MsrValue> msrs) =>
        string.Join(", ", msrs.Where(static m => m.Index != Tsc).Select(static m => $"{m.Index:x} = {m.Value:x}"));

    /// <summary>The state of a 64-bit guest in the middle of something: nothing that can hold a value is left at its reset value.</summary>
    private static VcpuState Filled(VcpuState s)
    {
        // The saved area ends where what the processor uses ends.
        byte[] xsave = new byte[Math.Max(s.Xsave.Length, 832)];
        s.Xsave.CopyTo(xsave);
        Random random = new(5);
        random.NextBytes(xsave.AsSpan(32, 128));
        for (int i = 0; i < 8; i++)
        {
            xsave.AsSpan(42 + (i * 16), 6).Clear();
        }

        random.NextBytes(xsave.AsSpan(160, 256));
        random.NextBytes(xsave.AsSpan(576, 256));
        BitConverter.TryWriteBytes(xsave.AsSpan(0), (ushort)0x27f);
        BitConverter.TryWriteBytes(xsave.AsSpan(2), (ushort)0x2920);
        xsave[4] = 0xe7;
        BitConverter.TryWriteBytes(xsave.AsSpan(24), 0x5fa5);
        BitConverter.TryWriteBytes(xsave.AsSpan(512), 7ul);
        return s with
        {
            General = s.General with { Rax = 1, Rbx = 2, Rcx = 3, Rdx = 4, Rsi = 5, Rdi = 6, Rsp = 7, Rbp = 8, R8 = 9,
                R15 = ulong.MaxValue, Rip = 0x1000, Rflags = 0x246 },
            System = s.System with
            {
                Cs = s.System.Cs with { Base = 0, Limit = uint.MaxValue, Selector = 8, Attributes = 0xa09b },
                Ss = s.System.Ss with { Base = 0, Limit = uint.MaxValue, Selector = 0x10, Attributes = 0xc093 },
                Fs = s.System.Fs with { Base = 0x7fff_1234_5000 },
                Cr0 = 0x8001_0033,
                Cr2 = 0x1234_5678,
                Cr3 = 0x1000,
                Cr4 = 0x40620,
                Cr8 = 3,
                Efer = 0xd01,
            },
            Xsave = [.. xsave],

            // The task priority register holds CR8 in its upper half, and the processor priority follows (SDM vol. 3 §11.8.3, §11.8.6).
            Lapic = s.Lapic.SetItem(0x80, 0x30).SetItem(0xa0, 0x30),
            Xcr0 = 7,
            DebugAddresses = [0x1000, 0x2000, 0x3000, 0x4000],
        };
    }
}
