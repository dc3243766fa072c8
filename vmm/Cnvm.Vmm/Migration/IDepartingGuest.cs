using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Migration;

/// <summary>A machine that is to move away, as the migration sees it. Called on the migration's thread.</summary>
internal interface IDepartingGuest
{
    GuestMemory Memory { get; }

    /// <summary>The memory itself, to be handed over; null if it is copied.</summary>
    IReadOnlyList<int>? MemoryDescriptors { get; }

    /// <summary>Queues of its network interfaces, which go with the memory if that is handed over.</summary>
    IReadOnlyList<int> TapQueues { get; }

    /// <summary>It does not run: nothing has to be sent twice, and it goes on nowhere.</summary>
    bool IsPaused { get; }

    MigrationOffer Offer { get; }

    /// <summary>The disks that move along, in the order of the offer.</summary>
    IReadOnlyList<IDepartingDisk> Disks { get; }

    /// <summary>Records from now on which pages, and blocks of <see cref="Disks"/>, are written.</summary>
    /// <exception cref="Hypervisor.HypervisorException">The hypervisor cannot.</exception>
    void StartTracking();

    /// <summary>Adds the pages written since the last call.</summary>
    void Collect(DirtyBitmap into);

    /// <summary>Ends recording, and <see cref="Throttle"/>.</summary>
    void StopTracking();

    /// <summary>Holds the guest back for this share of its time, so that it writes less.</summary>
    /// <param name="percent">1 to 99.</param>
    void Throttle(int percent);

    /// <summary>Brings what the disks have cached to stable storage; the guest runs on.</summary>
    void FlushDisks();

    /// <summary>Stops guest code, clocks and devices, and gives up the locks of disks that stay where they are.</summary>
    /// <exception cref="MigrationException">The guest has just ended or been reset: it cannot move now, and runs as before.</exception>
    void Stop();

    /// <summary>Bytes of the state of everything but the memory's contents.</summary>
    byte[] Save();

    /// <summary>How long ago <see cref="Stop"/> stopped the clocks, in nanoseconds; 0 for a machine that was paused before.</summary>
    ulong StoppedFor();

    /// <summary>Goes on here after <see cref="Stop"/>, or stays paused as it was.</summary>
    /// <exception cref="MigrationException">It cannot: somebody else has taken a disk. It stays paused.</exception>
    void GoOn();
}
