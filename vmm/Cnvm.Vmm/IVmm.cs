using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Metrics;
using Cnvm.Vmm.Requests;

namespace Cnvm.Vmm;

/// <summary>
/// What the REST API asks of the VMM: at most one virtual machine, and its life cycle.
/// </summary>
/// <remarks>
/// <para><see cref="Ping"/> and <see cref="Events"/> are called on the API server's thread while another call may be under way: they must not block. All other
/// members are called one at a time, in the order of the requests, on the thread named <c>vmm</c>.</para>
/// <para>A call that cannot be carried out throws a <see cref="VmmException"/>, whose kind decides the HTTP status and whose messages
/// become the error chain; the state is then what it was before. Any other exception is answered as an internal error.</para>
/// </remarks>
public interface IVmm
{
    /// <summary>What has happened lately. Callable at any time from any thread.</summary>
    EventHistory Events { get; }

    /// <summary>Version, process id and abilities. Never blocks; callable at any time from any thread.</summary>
    VmmPing Ping();

    /// <summary>Stores a validated configuration; the VM is <see cref="VmState.Created"/>. Consoles are opened here.</summary>
    /// <exception cref="VmmException">A VM exists already (internal), or the configuration is refused (invalid, conflict).</exception>
    void Create(VmConfig config);

    /// <summary>Builds the created VM and starts its vCPUs.</summary>
    /// <exception cref="VmmException">No VM was created (not found), it runs already or the host refuses something (internal).</exception>
    void Boot();

    /// <summary>Configuration and state of the VM.</summary>
    /// <exception cref="VmmException">No VM was created (not found).</exception>
    VmInfo Info();

    /// <summary>Counters by device id, then by counter name; of a running VM only.</summary>
    /// <exception cref="VmmException">No VM is booted (not found).</exception>
    IReadOnlyDictionary<string, IReadOnlyDictionary<string, ulong>> Counters();

    void Pause();

    void Resume();

    /// <summary>Resets the machine within this process; the configuration stays.</summary>
    void Reboot();

    /// <summary>Presses the ACPI power button.</summary>
    void PowerButton();

    /// <summary>Sends an NMI to every vCPU.</summary>
    void Nmi();

    /// <summary>Stops the VM at once; its configuration stays and can be booted again.</summary>
    void Shutdown();

    /// <summary>Stops the VM if it runs and forgets its configuration; succeeds if there is none.</summary>
    void Delete();

    /// <summary>Figures for monitoring; of a VM that is not booted only its state.</summary>
    VmmMetrics Metrics();

    /// <summary>Adds a device: to the configuration of a VM that is not booted, else to the running guest.</summary>
    /// <param name="device">Not validated yet; null numbers in it are filled in.</param>
    /// <param name="descriptors">
    /// What came along, already named by <paramref name="device"/>. They belong to the VMM once this returns, and to the caller if it
    /// throws.
    /// </param>
    /// <returns>The device's place in a booted VM; null if only the configuration has changed.</returns>
    /// <exception cref="VmmException">
    /// No VM was created (not found), the device is refused (invalid, conflict), or the VM cannot take it now (internal).
    /// </exception>
    PciDeviceInfo? AddDevice(IPciDeviceConfig device, IReadOnlyList<FileDescriptor> descriptors);

    /// <summary>Takes a device away. Of a booted VM this is a request that the guest carries out later.</summary>
    /// <exception cref="VmmException">No VM was created, or it has no such device (not found).</exception>
    void RemoveDevice(string id);

    /// <summary>Changes the number of vCPUs, the RAM or the balloon.</summary>
    /// <exception cref="VmmException">No VM was created (not found), the sizes are wrong (invalid), an earlier change is pending (busy).</exception>
    void Resize(VmResize resize);

    /// <summary>Tells a running guest that a disk has a new size.</summary>
    /// <exception cref="VmmException">No VM was created, or it has no such disk (not found).</exception>
    void ResizeDisk(VmResizeDisk resize);

    /// <exception cref="VmmException">No VM was created (not found), or it has no such zone (internal).</exception>
    void ResizeZone(VmResizeZone resize);

    /// <summary>Saves a paused VM to a directory.</summary>
    void Snapshot(VmSnapshotConfig snapshot);

    /// <summary>Makes a VM of a snapshot; there must be none.</summary>
    /// <param name="descriptors">As many as <paramref name="restore"/> asks for; they belong to the VMM once this returns.</param>
    void Restore(RestoreConfig restore, IReadOnlyList<FileDescriptor> descriptors);

    /// <summary>Writes a VM's memory and registers as an ELF core file.</summary>
    void Coredump(VmCoredumpData coredump);

    /// <summary>Begins to move the VM away; returns at once.</summary>
    void SendMigration(SendMigrationData send);

    /// <summary>Waits for a VM and takes it over.</summary>
    /// <param name="descriptors">As many as <paramref name="receive"/> asks for; they belong to the VMM once this returns.</param>
    void ReceiveMigration(ReceiveMigrationData receive, IReadOnlyList<FileDescriptor> descriptors);

    /// <summary>
    /// Deletes the VM and prepares the process to end. Returns when that is done; the server then sends its answer and reports the
    /// request to whoever runs it, who ends the process.
    /// </summary>
    void ShutdownVmm();
}
