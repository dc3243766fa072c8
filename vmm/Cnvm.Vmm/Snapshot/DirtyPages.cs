using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Snapshot;

/// <summary>
/// Pages that changed since a snapshot, by the guest or by devices. What has been collected is forgotten only when somebody says that it
/// has been saved: a snapshot that fails loses no page. On the VMM's thread.
/// </summary>
internal sealed class DirtyPages : IDisposable
{
    private readonly DirtyTracking _tracking;
    private readonly DirtyBitmap _pages;

    /// <summary>Begins to record. The machine is paused, and all that was written so far has been saved.</summary>
    /// <param name="parent">The snapshot that has it.</param>
    /// <exception cref="HypervisorException">The hypervisor cannot record.</exception>
    public DirtyPages(DirtyTracking tracking, byte[] parent)
    {
        _tracking = tracking;
        _pages = tracking.Add();
        Parent = parent;
    }

    /// <summary>Id of the snapshot that changes count from.</summary>
    public byte[] Parent { get; private set; }

    /// <summary>All that changed since <see cref="Parent"/>. The machine is paused.</summary>
    public DirtyBitmap Collect()
    {
        _tracking.Collect();
        return _pages;
    }

    /// <summary>What <see cref="Collect"/> gave is in a snapshot now.</summary>
    public void Saved(byte[] id)
    {
        _pages.Clear();
        Parent = id;
    }

    public void Dispose() => _tracking.Remove(_pages);
}
