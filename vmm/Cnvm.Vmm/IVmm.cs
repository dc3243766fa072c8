using Cnvm.Vmm.Config;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm;

/// <summary>
/// What the REST API asks of the VMM: at most one virtual machine, and its life cycle.
/// </summary>
/// <remarks>
/// <para><see cref="Ping"/> is called on the API server's thread while another call may be under way: it must not block. All other
/// members are called one at a time, in the order of the requests, on the thread named <c>vmm</c>.</para>
/// <para>A call that cannot be carried out throws a <see cref="VmmException"/>, whose kind decides the HTTP status and whose messages
/// become the error chain; the state is then what it was before. Any other exception is answered as an internal error.</para>
/// </remarks>
public interface IVmm
{
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

    /// <summary>Writes the paused VM's state and memory to a folder; the VM stays as it is.</summary>
    /// <exception cref="VmmException">It is not paused, or the snapshot cannot be written: then nothing of it stays.</exception>
    void Snapshot(SnapshotConfig request);

    /// <summary>Makes a VM from a snapshot, paused unless the request says otherwise.</summary>
    /// <exception cref="VmmException">There is a VM, or the snapshot is not usable here: then there still is none.</exception>
    void Restore(RestoreConfig request);

    /// <summary>
    /// Deletes the VM and prepares the process to end. Returns when that is done; the server then sends its answer and reports the
    /// request to whoever runs it, who ends the process.
    /// </summary>
    void ShutdownVmm();
}
