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
    private DirtyBitmap? _written;

    public GuestMemory Memory => machine.Ram.Memory;

    public bool IsPaused => isPaused;

    public MigrationOffer Offer => offer;

    /// <summary>Told, on the VMM's thread, that the machine has been stopped (true), or goes on (false).</summary>
    public Action<bool> OnStopped { get; init; } = static _ => { };

    public void StartTracking() => _written = machine.Tracking.Add();

    public void Collect(DirtyBitmap into)
    {
        machine.Tracking.Collect();
        into.TakeFrom(_written!);
    }

    public void Throttle(int percent) => machine.Throttle(percent);

    public void StopTracking()
    {
        machine.Throttle(0);
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
        machine.UnlockDisks();
    });

    public byte[] Save()
    {
        byte[] bytes = [];
        onVmm(() =>
        {
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
            if (!isPaused)
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
