using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Migration;

/// <summary>A machine that is to arrive, as the migration sees it. Called on the migration's thread.</summary>
internal interface IArrivingGuest
{
    /// <summary>Checks everything that can be checked before the first page, and makes the memory.</summary>
    /// <param name="handed">The memory itself, which must not be written before the guest runs here; null if its contents come in messages.</param>
    /// <returns>The memory, and whether a region of it reads as zeros where nothing has been written.</returns>
    /// <exception cref="MigrationException">This host cannot run the guest; the message names every obstacle.</exception>
    (GuestMemory Memory, Func<int, bool> IsFresh) Prepare(MigrationOffer offer, HandedOver? handed);

    /// <summary>Waits for memory that is still being taken from the host. After <see cref="Prepare"/>, before <see cref="Restore"/>.</summary>
    /// <param name="isGivenUp">Asked several times a second.</param>
    /// <exception cref="MigrationException">The host cannot give it.</exception>
    /// <exception cref="OperationCanceledException">It was given up.</exception>
    void AwaitMemory(Func<bool> isGivenUp);

    /// <summary>The disks that come along, in the order of the offer. After <see cref="Prepare"/>.</summary>
    IReadOnlyList<IArrivingDisk> Disks { get; }

    /// <summary>Makes the machine around the memory. It does not run.</summary>
    /// <param name="state">Bytes of a saved state.</param>
    /// <param name="nanoseconds">How long ago the guest's clocks stopped; 0 if it was paused before, and keeps its time.</param>
    /// <exception cref="MigrationException">The state does not fit; the message says what.</exception>
    void Restore(byte[] state, ulong nanoseconds);

    /// <summary>Everything that touches the memory waits for these pages from now on; null: for none. Before <see cref="Restore"/>, and any thread.</summary>
    void Await(MissingPages? missing);

    /// <summary>Takes the guest over.</summary>
    /// <param name="resume">It runs; otherwise it is paused here as it was there.</param>
    /// <exception cref="MigrationException">It does not run here; <see cref="Discard"/> follows.</exception>
    void Run(bool resume);

    /// <summary>Gives back everything; the guest does not run here and never will.</summary>
    void Discard();
}
