using Cnvm.Devices;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Virtio.Block;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Migration;

/// <summary>A virtual machine as one that moves away.</summary>
/// <param name="onVmm">Runs something on the VMM's thread, where machines are stopped and started, and waits for it.</param>
internal sealed class DepartingMachine(VirtualMachine machine, MigrationOffer offer, bool isPaused, string producer, Action<Action> onVmm)
    : IDepartingGuest
{
    private const int IdBytes = 16;
    private readonly DepartingDisk[] _disks = [.. (offer.Disks?.Disks ?? []).Select(o => new DepartingDisk(machine.Disks.Single(d => d.Id == o.Id), o))];
    private DirtyBitmap? _written;

    public GuestMemory Memory => machine.Ram.Memory;

    public bool IsPaused => isPaused;

    public MigrationOffer Offer => offer;

    public IReadOnlyList<IDepartingDisk> Disks => _disks;

    /// <inheritdoc/>
    public IReadOnlyList<int>? MemoryDescriptors { get; init; }

    /// <inheritdoc/>
    public IReadOnlyList<int> TapQueues { get; init; } = [];

    /// <summary>Told, on the VMM's thread, that the machine has been stopped (true), or goes on (false).</summary>
    public Action<bool> OnStopped { get; init; } = static _ => { };

    public void StartTracking()
    {
        try
        {
            _written = machine.Tracking.Add();
        }
        catch (IOException e)
        {
            // A device's, which is not to be taken for the connection's.
            throw new MigrationException(e.Message, e);
        }

        foreach (DepartingDisk disk in _disks)
        {
            disk.StartTracking();
        }
    }

    public void Collect(DirtyBitmap into)
    {
        machine.Tracking.Collect();
        into.TakeFrom(_written!);
    }

    public void Throttle(int percent) => machine.Throttle(percent);

    public void StopTracking()
    {
        machine.Throttle(0);
        foreach (DepartingDisk disk in _disks)
        {
            disk.StopTracking();
        }

        machine.Tracking.Remove(_written!);
        _written = null;
    }

    public void FlushDisks()
    {
        try
        {
            machine.FlushDisks();
        }
        catch (BlockImageException e)
        {
            throw new MigrationException(e.Message, e);
        }
    }

    public void Stop() => onVmm(() =>
    {
        if (!isPaused)
        {
            machine.Pause();
            if (machine.HasEnded)
            {
                throw new MigrationException("the guest has just ended or asked for a reset");
            }
        }

        OnStopped(true);
        FlushDisks();
        if (offer.Disks is null)
        {
            machine.UnlockDisks();
        }

        machine.LetFileLocksGo();
    });

    public byte[] Save()
    {
        byte[] bytes = [];
        onVmm(() =>
        {
            if (machine.SaveObstacle() is { } obstacle)
            {
                throw new MigrationException(obstacle);
            }

            // The contents have gone page by page; no file has them.
            MemoryState memory = MemoryFileWriter.Plan(machine.Ram);
            memory = memory with { Ranges = [.. memory.Ranges.Select(r => r with { IsSaved = false, FileOffset = 0 })] };
            bytes = StateWriter.Write(machine.Save(new byte[IdBytes], producer, memory), MachineElements.Describe);
        });
        return bytes;
    }

    public ulong StoppedFor() => isPaused ? 0 : machine.PausedFor();

    public void GoOn() => onVmm(() =>
    {
        try
        {
            machine.LockDisks();
            machine.TakeFileLocks();
            if (TapQueues.Count > 0)
            {
                machine.TakeNetworksAgain();
            }

            if (!isPaused && !machine.HasEnded)
            {
                machine.Resume();
            }

            OnStopped(false);
        }
        catch (Exception e) when (e is BlockImageException or HypervisorException or DeviceStateException or IOException)
        {
            throw new MigrationException($"{e.Message}; it is paused, and vm.resume tries again", e);
        }
    });
}
