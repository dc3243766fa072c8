using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State;
using Cnvm.Linux;

namespace Cnvm.Hypervisor;

/// <summary>One virtual machine inside a hypervisor. Dispose its vCPUs first.</summary>
public interface IPartition : IDisposable
{
    /// <summary>
    /// Makes a RAM region visible to the guest. The host mapping stays owned by the caller and must outlive the partition or
    /// <see cref="UnmapRam"/>. Any thread; not while a vCPU runs in the region.
    /// </summary>
    /// <exception cref="HypervisorException">The region overlaps another, or the host refused.</exception>
    void MapRam(RamRegion region);

    /// <summary>Takes a region that <see cref="MapRam"/> mapped away from the guest.</summary>
    void UnmapRam(RamRegion region);

    /// <summary>Creates a vCPU; others may have run before, and none runs now. Call <see cref="IVirtualCpu.Bind"/> on its thread before it runs.</summary>
    /// <param name="index">0-based; unique; below <see cref="PartitionOptions.MaxVcpus"/>.</param>
    /// <param name="apicId">Initial APIC id.</param>
    /// <param name="cpuid">What CPUID answers on this vCPU.</param>
    /// <param name="bus">Where its port and memory-mapped accesses go.</param>
    IVirtualCpu CreateVcpu(int index, uint apicId, CpuidTable cpuid, IVcpuBus bus);

    /// <summary>
    /// vCPUs that run in this program wait for pages that have not come before they touch them. Where the kernel runs them, a fault
    /// handler of the host does (userfaultfd), and nothing happens here. Before the first vCPU runs; null, at any time: all are here.
    /// </summary>
    void Await(MissingPages? missing)
    {
    }

    IInterruptController Interrupts { get; }

    /// <summary>The log of pages that the guest wrote.</summary>
    IDirtyLog DirtyLog { get; }

    /// <summary>
    /// From now on a guest write of exactly <paramref name="width"/> bytes to the address signals <paramref name="target"/>
    /// without reaching the vCPU's bus.
    /// </summary>
    /// <param name="width">1, 2, 4 or 8; 0 means a write of any width.</param>
    /// <param name="dataMatch">Only this value signals; null means any.</param>
    /// <returns>Dispose it to take the doorbell away again.</returns>
    IDisposable AddDoorbell(DoorbellSpace space, ulong address, int width, ulong? dataMatch, EventFd target);

    /// <summary>The paravirtual clock (nanoseconds of guest time since boot) with what is needed to move it.</summary>
    ParavirtualClock SaveClock();

    void RestoreClock(ParavirtualClock clock);
}
