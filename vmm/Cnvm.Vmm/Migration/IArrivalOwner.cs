using Cnvm.Hypervisor.Memory;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Migration;

/// <summary>Who makes and keeps a machine that arrives. On the VMM's thread.</summary>
internal interface IArrivalOwner
{
    /// <summary>Checks the offer and makes memory, which it does not prefault, and partition.</summary>
    /// <param name="handed">The memory itself; null if it is to be made.</param>
    /// <exception cref="MigrationException">This host cannot run the guest.</exception>
    RamSource Prepare(MigrationOffer offer, HandedOver? handed);

    /// <summary>The disks that come along. After <see cref="Prepare"/>.</summary>
    IReadOnlyList<IArrivingDisk> Disks { get; }

    /// <summary>The machine waits for these pages from now on; null: for none. Any thread.</summary>
    void Await(MissingPages? missing);

    /// <summary>Makes devices and vCPUs with their state.</summary>
    /// <param name="age">
    /// Nanoseconds by which the clocks go on, asked when the vCPUs get their state: making the devices takes milliseconds. Null: they hold.
    /// </param>
    /// <exception cref="MigrationException">It cannot.</exception>
    void Complete(MachineState state, Func<ulong>? age);

    /// <summary>Waits for what <see cref="Run"/> needs of the memory, so that the VMM's thread never does. After <see cref="Complete"/>; on the migration's thread.</summary>
    /// <exception cref="MigrationException">It will not come.</exception>
    void AwaitRings();

    /// <summary>The machine is the VMM's from now on.</summary>
    /// <exception cref="MigrationException">It does not run.</exception>
    void Run(bool resume);

    /// <summary>Takes everything apart.</summary>
    void Discard();
}
