using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Migration;

/// <summary>A machine that is to arrive, as the migration sees it. Called on the migration's thread.</summary>
internal interface IArrivingGuest
{
    /// <summary>Checks everything that can be checked before the first page, and makes the memory.</summary>
    /// <returns>The memory, and whether a region of it reads as zeros where nothing has been written.</returns>
    /// <exception cref="MigrationException">This host cannot run the guest; the message names every obstacle.</exception>
    (GuestMemory Memory, Func<int, bool> IsFresh) Prepare(MigrationOffer offer);

    /// <summary>Makes the machine around the memory. It does not run.</summary>
    /// <param name="state">Bytes of a saved state.</param>
    /// <param name="nanoseconds">How long ago the guest's clocks stopped.</param>
    /// <exception cref="MigrationException">The state does not fit; the message says what.</exception>
    void Restore(byte[] state, ulong nanoseconds);

    /// <summary>Takes the guest over.</summary>
    /// <param name="resume">It runs; otherwise it is paused here as it was there.</param>
    /// <exception cref="MigrationException">It does not run here; <see cref="Discard"/> follows.</exception>
    void Run(bool resume);

    /// <summary>Gives back everything; the guest does not run here and never will.</summary>
    void Discard();
}
