using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Migration;

/// <summary>Who makes and keeps a machine that arrives. On the VMM's thread.</summary>
internal interface IArrivalOwner
{
    /// <summary>Checks the offer and makes memory and partition.</summary>
    /// <exception cref="MigrationException">This host cannot run the guest.</exception>
    RamSource Prepare(MigrationOffer offer);

    /// <summary>Makes devices and vCPUs with their state.</summary>
    /// <exception cref="MigrationException">It cannot.</exception>
    void Complete(MachineState state);

    /// <summary>The machine is the VMM's from now on.</summary>
    /// <exception cref="MigrationException">It does not run.</exception>
    void Run(bool resume);

    /// <summary>Takes everything apart.</summary>
    void Discard();
}
