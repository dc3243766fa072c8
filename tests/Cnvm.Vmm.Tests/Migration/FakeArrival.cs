using Cnvm.Hypervisor.Memory;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A guest that arrives: memory as it is offered, and a state that is kept as it came.</summary>
internal sealed class FakeArrival(World world) : IArrivingGuest, IDisposable
{
    public const string Side = "target";
    private GuestMemory? _memory;

    public GuestMemory Memory => _memory!;

    public byte[]? State { get; private set; }

    public bool? Resumed { get; private set; }

    public bool IsDiscarded { get; private set; }

    public bool IsPrepared => _memory is not null;

    public MigrationException? PrepareFailure { get; set; }

    public MigrationException? RestoreFailure { get; set; }

    public MigrationException? RunFailure { get; set; }

    public (GuestMemory Memory, Func<int, bool> IsFresh) Prepare(MigrationOffer offer)
    {
        if (PrepareFailure is { } failure)
        {
            throw failure;
        }

        Assert.True(offer.MemoryBytes <= 1 << 30, "a test with so much memory");
        _memory = GuestRamAllocator.Allocate([.. offer.Memory.Select(r => new RamPiece(r.Gpa, r.Size))]);
        return (_memory, static _ => true);
    }

    public void Restore(byte[] state, ulong nanoseconds) => State = RestoreFailure is { } failure ? throw failure : state;

    public void Run(bool resume)
    {
        if (RunFailure is { } failure)
        {
            throw failure;
        }

        Resumed = resume;
        world.Start(Side);
    }

    public void Discard()
    {
        IsDiscarded = true;
        world.Stop(Side);
    }

    public void Dispose() => _memory?.Dispose();
}
