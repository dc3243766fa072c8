using Cnvm.Hypervisor.Memory;

namespace Cnvm.Hypervisor;

/// <summary>
/// The hypervisor's log of guest writes. <see cref="GuestMemory"/> merges it with the log of device writes; use that one.
/// Calls come from one thread at a time; vCPUs may run meanwhile.
/// </summary>
public interface IDirtyLog
{
    /// <summary>Begins to log every RAM page written from now on. Nothing happens if it runs already.</summary>
    void Start();

    /// <summary>
    /// Adds the pages written since the last call to <paramref name="into"/> and clears them in the log: a page is either in
    /// what was collected or will be in the next collection, never in neither.
    /// </summary>
    void Collect(DirtyBitmap into);

    /// <summary>Ends logging.</summary>
    void Stop();
}
