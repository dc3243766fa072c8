using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Snapshot;

/// <summary>
/// The pages that a machine's guest and devices write, for any number of readers: each finds in its bitmap what was written since it
/// cleared it, whoever else collects meanwhile. Recording costs the guest time and runs only while somebody reads. Any thread.
/// </summary>
internal sealed class DirtyTracking(GuestMemory memory, IDirtyLog log)
{
    private readonly Lock _gate = new();
    private readonly List<DirtyBitmap> _readers = [];
    private readonly DirtyBitmap _fresh = new(memory.Regions);

    /// <summary>Begins to record for one more reader.</summary>
    /// <returns>Where <see cref="Collect"/> puts what was written.</returns>
    /// <exception cref="HypervisorException">The hypervisor cannot record.</exception>
    public DirtyBitmap Add()
    {
        lock (_gate)
        {
            if (_readers.Count == 0)
            {
                memory.StartDirtyTracking();
                try
                {
                    log.Start();
                }
                catch
                {
                    memory.StopDirtyTracking();
                    throw;
                }
            }
            else
            {
                // What was written so far is the business of those who are here already.
                CollectAll();
            }

            var reader = new DirtyBitmap(memory.Regions);
            _readers.Add(reader);
            return reader;
        }
    }

    /// <summary>Brings all bitmaps up to date.</summary>
    public void Collect()
    {
        lock (_gate)
        {
            CollectAll();
        }
    }

    /// <summary>A reader has no more interest; with the last one recording ends.</summary>
    public void Remove(DirtyBitmap reader)
    {
        lock (_gate)
        {
            if (_readers.Remove(reader) && _readers.Count == 0)
            {
                log.Stop();
                memory.StopDirtyTracking();
            }
        }
    }

    private void CollectAll()
    {
        log.Collect(_fresh);
        memory.CollectDeviceWrites(_fresh);
        foreach (DirtyBitmap reader in _readers)
        {
            for (int region = 0; region < reader.Regions.Count; region++)
            {
                reader.Merge(region, _fresh.Words(region));
            }
        }

        _fresh.Clear();
    }
}
