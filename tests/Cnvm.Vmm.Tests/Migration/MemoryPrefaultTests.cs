using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State;
using Cnvm.Linux;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Memory that is to be prefaulted is taken from the host while the guest's contents come, on nobody's thread who has something else to do.</summary>
public sealed class MemoryPrefaultTests
{
    private static readonly RamPiece[] Plan = [new RamPiece(0, 4 << 20) { Prefault = true, ZoneId = "a" }, new RamPiece(16 << 20, 4 << 20) { ZoneId = "b" }];

    [SkippableFact]
    public void It_is_all_there_when_it_is_waited_for_and_nothing_of_it_before_the_vmm_goes_on()
    {
        using ResidentPages? pages = ResidentPages.TryOpen();
        Skip.If(pages is null, "this kernel does not say which pages are there");
        using GuestMemory memory = GuestRamAllocator.Allocate(Plan, prefaults: false);
        int? heldByVmm = null;
        using var guest = new FakeDeparture(new World(), Plan);
        var machine = new ArrivingMachine(new Owner(memory), action =>
        {
            action();
            heldByVmm ??= Held(pages!, memory.Regions[0]);
        });
        machine.Prepare(guest.Offer, handed: null);

        Assert.Equal(0, heldByVmm);

        // The contents come meanwhile, and stay.
        memory.GetSpan(0x3000, 1)[0] = 7;
        machine.AwaitMemory(static () => false);
        Assert.Equal(((4 << 20) >> 12, 0), (Held(pages!, memory.Regions[0]), Held(pages!, memory.Regions[1])));
        Assert.Equal(7, memory.GetSpan(0x3000, 1)[0]);
        machine.Discard();
    }

    /// <summary>The regions are not mapped as they say.</summary>
    [Fact]
    public void What_the_host_cannot_give_is_named()
    {
        using GuestMemory memory = GuestRamAllocator.Allocate(Plan, prefaults: false);
        RamRegion region = memory.Regions[1];
        using var prefault = new MemoryPrefault([new RamRegion(region.Gpa, 8 << 20, region.HostAddress) { ZoneId = "b" }]);
        Assert.StartsWith("memory zone b: the host cannot give 8 MiB at once", Assert.Throws<MigrationException>(() => prefault.Await(static () => false)).Message, StringComparison.Ordinal);
    }

    private static int Held(ResidentPages pages, RamRegion region)
    {
        ulong[] entries = new ulong[region.Size >> 12];
        pages.Read(region.HostAddress, entries);
        return entries.Count(ResidentPages.IsHeld);
    }

    private sealed class Owner(GuestMemory memory) : IArrivalOwner
    {
        public IReadOnlyList<IArrivingDisk> Disks => [];

        public RamSource Prepare(MigrationOffer offer, HandedOver? handed) => new(memory, Plan);

        public void Await(MissingPages? missing) => throw new InvalidOperationException();

        public void Complete(MachineState state, Func<ulong>? age) => throw new InvalidOperationException();

        public void AwaitRings() => throw new InvalidOperationException();

        public void Run(bool resume) => throw new InvalidOperationException();

        public void Discard()
        {
        }
    }
}
