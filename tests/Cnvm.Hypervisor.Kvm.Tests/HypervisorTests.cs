using Cnvm.Hypervisor.Memory;

namespace Cnvm.Hypervisor.Kvm.Tests;

public sealed class HypervisorTests
{
    [Fact]
    public void MissingDeviceIsNamed()
    {
        HypervisorException e = Assert.Throws<HypervisorException>(() => KvmHypervisor.Open("/dev/no-such-kvm"));
        Assert.Contains("/dev/no-such-kvm does not exist", e.Message);
    }

    [Fact]
    public void OtherDeviceIsRefused()
    {
        HypervisorException e = Assert.Throws<HypervisorException>(() => KvmHypervisor.Open("/dev/null"));
        Assert.Contains("not a KVM device", e.Message);
    }

    [SkippableFact]
    public void CapabilitiesAreSensible()
    {
        using KvmHypervisor kvm = TestHost.Open();
        HypervisorCapabilities c = kvm.Capabilities;
        Assert.Equal("kvm", kvm.Name);
        Assert.InRange(c.MaxVcpus, 1, 100_000);
        Assert.InRange(c.PhysicalAddressBits, 36, 52);
        Assert.InRange(c.MaxMemoryRegions, 32, int.MaxValue);
        Assert.Equal(c.RunsOrdinaryGuests, c.OrdinaryGuestsObstacle is null);
        string flags = File.ReadLines("/proc/cpuinfo").First(l => l.StartsWith("flags", StringComparison.Ordinal)) + " ";
        Assert.Equal(flags.Contains(" svm ") || flags.Contains(" vmx "), c.RunsOrdinaryGuests);
        Assert.True(kvm.SupportedCpuid.TryGet(1, 0, out _));
    }

    /// <summary>A VM is asked for it, which is the next partition then: nothing of that is to be seen.</summary>
    [SkippableFact]
    public void TheTscOfGuestsIsKnownBeforeThereIsOne()
    {
        using KvmHypervisor kvm = TestHost.Open();
        using IPartition before = kvm.CreatePartition(new PartitionOptions { MaxVcpus = 1 });
        uint khz = kvm.GuestTscKhz;
        Assert.InRange(khz, 500_000u, 10_000_000u);
        Assert.Equal(khz, kvm.GuestTscKhz);
        using IPartition first = kvm.CreatePartition(new PartitionOptions { MaxVcpus = 1 });
        using IPartition second = kvm.CreatePartition(new PartitionOptions { MaxVcpus = 1 });
        foreach (IPartition partition in (IPartition[])[before, first, second])
        {
            using IVirtualCpu vcpu = partition.CreateVcpu(0, 0, kvm.SupportedCpuid, new RecordingBus());
            Assert.Equal(khz, vcpu.Save().TscKhz);
        }
    }

    [SkippableFact]
    public void TooManyVcpusAreRefused()
    {
        using KvmHypervisor kvm = TestHost.Open();
        HypervisorException e = Assert.Throws<HypervisorException>(() => kvm.CreatePartition(new PartitionOptions { MaxVcpus = 1_000_000 }));
        Assert.Contains("1000000 vCPUs", e.Message);
    }

    [SkippableFact]
    public void OverlappingRamIsRefusedAndUnmappedRamMayBeMappedAgain()
    {
        using var guest = new TestGuest(new RecordingBus());
        HypervisorException e = Assert.Throws<HypervisorException>(
            () => guest.Partition.MapRam(new RamRegion(0x1000, 0x1000, guest.Region.HostAddress)));
        Assert.Contains("overlaps", e.Message);
        guest.Partition.UnmapRam(guest.Region);
        guest.Partition.MapRam(guest.Region);
        Assert.Throws<HypervisorException>(() => guest.Partition.UnmapRam(new RamRegion(0x4000_0000, 0x1000, 0)));
    }

    [SkippableFact]
    public void ClockGoesOnFromWhereItIsSet()
    {
        using var guest = new TestGuest(new RecordingBus());
        const ulong Hour = 3_600_000_000_000;
        guest.Partition.RestoreClock(new State.ParavirtualClock(Hour, 0, 0));
        Assert.InRange(guest.Partition.SaveClock().Nanoseconds, Hour, Hour + 60_000_000_000);
    }
}
