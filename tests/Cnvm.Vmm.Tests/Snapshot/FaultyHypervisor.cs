using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State;
using Cnvm.Linux;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>A hypervisor some of whose calls fail when they are told to.</summary>
internal sealed class FaultyHypervisor(IHypervisor inner) : IHypervisor
{
    /// <summary>The dirty log does not start.</summary>
    public bool FailsToLog { get; set; }

    /// <summary>The dirty log cannot be read.</summary>
    public bool FailsToCollect { get; set; }

    /// <summary>How many more times the clock can be set; null: always.</summary>
    public int? ClocksLeft { get; set; }

    public string Name => inner.Name;

    public HypervisorCapabilities Capabilities => inner.Capabilities;

    public CpuidTable SupportedCpuid => inner.SupportedCpuid;

    public uint GuestTscKhz => inner.GuestTscKhz;

    public IPartition CreatePartition(PartitionOptions options) => new Partition(this, inner.CreatePartition(options));

    public void Dispose() => inner.Dispose();

    private sealed class Partition(FaultyHypervisor faults, IPartition inner) : IPartition, IDirtyLog
    {
        public IInterruptController Interrupts => inner.Interrupts;

        public IDirtyLog DirtyLog => this;

        public void MapRam(RamRegion region) => inner.MapRam(region);

        public void UnmapRam(RamRegion region) => inner.UnmapRam(region);

        public IVirtualCpu CreateVcpu(int index, uint apicId, CpuidTable cpuid, IVcpuBus bus) => inner.CreateVcpu(index, apicId, cpuid, bus);

        public IDisposable AddDoorbell(DoorbellSpace space, ulong address, int width, ulong? dataMatch, EventFd target) =>
            inner.AddDoorbell(space, address, width, dataMatch, target);

        public ParavirtualClock SaveClock() => inner.SaveClock();

        public void RestoreClock(ParavirtualClock clock)
        {
            if (faults.ClocksLeft is { } left)
            {
                faults.ClocksLeft = left > 0 ? left - 1 : throw new HypervisorException("the clock cannot be set");
            }

            inner.RestoreClock(clock);
        }

        public void Dispose() => inner.Dispose();

        void IDirtyLog.Start()
        {
            if (faults.FailsToLog)
            {
                throw new HypervisorException("there is no dirty log");
            }

            inner.DirtyLog.Start();
        }

        void IDirtyLog.Collect(DirtyBitmap into)
        {
            if (faults.FailsToCollect)
            {
                throw new HypervisorException("the dirty log cannot be read");
            }

            inner.DirtyLog.Collect(into);
        }

        void IDirtyLog.Stop() => inner.DirtyLog.Stop();
    }
}
