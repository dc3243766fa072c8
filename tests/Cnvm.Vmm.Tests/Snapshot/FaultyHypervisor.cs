using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Registers;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State;
using Cnvm.Linux;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>A hypervisor some of whose calls fail, or answer something else, when they are told to.</summary>
internal sealed class FaultyHypervisor(IHypervisor inner) : IHypervisor
{
    /// <summary>The dirty log does not start.</summary>
    public bool FailsToLog { get; set; }

    /// <summary>The dirty log cannot be read.</summary>
    public bool FailsToCollect { get; set; }

    /// <summary>How many more times the clock can be set; null: always.</summary>
    public int? ClocksLeft { get; set; }

    /// <summary>By how much its TSC is found to be faster than it is.</summary>
    public uint FasterKhz { get; set; }

    /// <summary>Guests have its own TSC frequency and no other.</summary>
    public bool CannotScale { get; set; }

    public string Name => inner.Name;

    public HypervisorCapabilities Capabilities => CannotScale ? inner.Capabilities with { TscScaling = false } : inner.Capabilities;

    public CpuidTable SupportedCpuid => inner.SupportedCpuid;

    public uint GuestTscKhz => inner.GuestTscKhz + FasterKhz;

    /// <summary>The host's wall clock when the last vCPU was made, in nanoseconds.</summary>
    public ulong VcpuMadeAt { get; private set; }

    /// <summary>A register that it has not.</summary>
    public uint? Lacking { get; set; }

    public MsrSet Msrs => new(inner.Msrs.Where(i => i != Lacking));

    public IPartition CreatePartition(PartitionOptions options) => new Partition(this, inner.CreatePartition(options));

    public void Dispose() => inner.Dispose();

    private sealed class Partition(FaultyHypervisor faults, IPartition inner) : IPartition, IDirtyLog
    {
        public IInterruptController Interrupts => inner.Interrupts;

        public IDirtyLog DirtyLog => this;

        public void MapRam(RamRegion region) => inner.MapRam(region);

        public void UnmapRam(RamRegion region) => inner.UnmapRam(region);

        public IVirtualCpu CreateVcpu(int index, uint apicId, CpuidTable cpuid, IVcpuBus bus)
        {
            var vcpu = new Vcpu(faults, inner.CreateVcpu(index, apicId, cpuid, bus));
            faults.VcpuMadeAt = ParavirtualClock.RealtimeNow;
            return vcpu;
        }

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

    private sealed class Vcpu(FaultyHypervisor faults, IVirtualCpu inner) : IVirtualCpu
    {
        public int Index => inner.Index;

        public VcpuExitCounters ExitCounters => inner.ExitCounters;

        public void Bind() => inner.Bind();

        public VcpuStop Run() => inner.Run();

        public void Kick() => inner.Kick();

        public void SetEntry(VcpuEntry entry) => inner.SetEntry(entry);

        public void SetPicOutput(bool asserted) => inner.SetPicOutput(asserted);

        public void InjectNmi() => inner.InjectNmi();

        public void SetDebug(VcpuDebug? debug) => inner.SetDebug(debug);

        public VcpuState Save()
        {
            VcpuState state = inner.Save();
            return state with { TscKhz = state.TscKhz + faults.FasterKhz };
        }

        public ulong ReadTsc(out ulong timestamp) => inner.ReadTsc(out timestamp);

        public void Restore(VcpuState state) => inner.Restore(state);

        public void Dispose() => inner.Dispose();
    }
}
