using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Migration;

/// <summary>A virtual machine as one that arrives.</summary>
/// <param name="owner">Makes and keeps the machine; called on the VMM's thread.</param>
/// <param name="onVmm">Runs something on the VMM's thread and waits for it.</param>
internal sealed class ArrivingMachine(IArrivalOwner owner, Action<Action> onVmm) : IArrivingGuest
{
    private MigrationOffer? _offer;
    private MemoryPrefault? _prefault;

    public (GuestMemory Memory, Func<int, bool> IsFresh) Prepare(MigrationOffer offer, HandedOver? handed)
    {
        RamSource? ram = null;
        onVmm(() =>
        {
            if (handed is null)
            {
                ThrowIfTooLarge(offer.MemoryBytes);
            }

            ram = owner.Prepare(offer, handed);
        });
        IReadOnlyList<RamPiece> plan = ram!.Plan;
        if (plan.Count != offer.Memory.Length)
        {
            throw new MigrationException($"the configuration makes {plan.Count} ranges of RAM, the source has {offer.Memory.Length}");
        }

        for (int i = 0; i < plan.Count; i++)
        {
            MigrationRange range = offer.Memory[i];
            if (plan[i].Gpa != range.Gpa || plan[i].Size != range.Size || (plan[i].ZoneId ?? "") != range.Zone)
            {
                throw new MigrationException(
                    $"the configuration makes {plan[i].Size >> 20} MiB of RAM at 0x{plan[i].Gpa:x}, the source has {range.Size >> 20} MiB at 0x{range.Gpa:x}");
            }
        }

        _offer = offer;
        RamRegion[] prefaulted = handed is null ? [.. ram.Memory.Regions.Where((_, i) => plan[i].Prefault)] : [];
        _prefault = prefaulted.Length > 0 ? new MemoryPrefault(prefaulted) : null;
        return (ram.Memory, i => plan[i].File is null);
    }

    public void AwaitMemory(Func<bool> isGivenUp) => _prefault?.Await(isGivenUp);

    public IReadOnlyList<IArrivingDisk> Disks => owner.Disks;

    public void Restore(byte[] state, ulong nanoseconds)
    {
        long started = System.Diagnostics.Stopwatch.GetTimestamp();
        MachineState read;
        try
        {
            read = StateReader.Read<MachineState>(state, MachineElements.Describe);
        }
        catch (StateFormatException e)
        {
            throw new MigrationException($"the state is not valid: {e.Message}", e);
        }

        if (read.Profile != _offer!.Machine || !_offer.Guest.Equals(GuestPromise.Of(read)))
        {
            throw new MigrationException("the state is of another guest than the one that was offered");
        }

        // A machine that was paused when the move began keeps the time at which it stood.
        ulong Age() => nanoseconds + (ulong)System.Diagnostics.Stopwatch.GetElapsedTime(started).TotalNanoseconds;
        onVmm(() => owner.Complete(read, nanoseconds == 0 ? null : Age));
        owner.AwaitRings();
    }

    public void Await(MissingPages? missing) => owner.Await(missing);

    public void Run(bool resume) => onVmm(() => owner.Run(resume));

    public void Discard()
    {
        _prefault?.Dispose();
        try
        {
            onVmm(owner.Discard);
        }
        catch (MigrationException)
        {
            // The VMM's thread has ended; whoever ended it waits for this one.
            owner.Discard();
        }
    }

    /// <summary>A host that has not so much memory at all would kill the VMM in the middle of the move.</summary>
    private static void ThrowIfTooLarge(ulong bytes)
    {
        ulong available = AvailableMemory.Read();
        if (bytes > available)
        {
            throw new MigrationException($"memory: the guest has {bytes >> 20} MiB, and this host has {available >> 20} MiB left");
        }
    }
}
