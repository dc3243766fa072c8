using Cnvm.Arch.Registers;
using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor;

/// <summary>One vCPU. Unless a member says otherwise: only on the thread that called <see cref="Bind"/>, or while it does not run.</summary>
public interface IVirtualCpu : IDisposable
{
    int Index { get; }

    /// <summary>Ties the vCPU to the calling thread, which alone may call <see cref="Run"/>.</summary>
    void Bind();

    /// <summary>
    /// Runs guest code until somebody kicks the vCPU or the guest does something that ends the run. Port and memory-mapped
    /// accesses are handled inside, through the bus. On return no access is half done: state can be saved.
    /// </summary>
    VcpuStop Run();

    /// <summary>
    /// Makes a current or the next <see cref="Run"/> return <see cref="VcpuStopReason.Kicked"/> soon. Any thread; a kick is
    /// never lost and is used up by the return it causes.
    /// </summary>
    void Kick();

    /// <summary>Sets the registers that a boot protocol asks for on a vCPU that was just created or reset.</summary>
    void SetEntry(VcpuEntry entry);

    /// <summary>The 8259 pair's interrupt output toward this vCPU's LINT0 changed (level). Any thread.</summary>
    void SetPicOutput(bool asserted);

    /// <summary>Queues a non-maskable interrupt. Any thread.</summary>
    void InjectNmi();

    /// <summary>Lets a debugger stop the guest; null: no longer. Needs <see cref="HypervisorCapabilities.GuestDebug"/>.</summary>
    void SetDebug(VcpuDebug? debug);

    /// <summary>Reads the complete architectural state; changes nothing.</summary>
    VcpuState Save();

    /// <summary>Reads the time stamp counter alone; changes nothing.</summary>
    /// <param name="timestamp">Host monotonic time in nanoseconds at which it was read.</param>
    ulong ReadTsc(out ulong timestamp);

    /// <summary>Writes a complete architectural state.</summary>
    /// <exception cref="HypervisorException">An element does not fit this host; the message names it.</exception>
    void Restore(VcpuState state);

    /// <summary>Exit counts by kind since creation. Any thread.</summary>
    VcpuExitCounters ExitCounters { get; }
}
