using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Memory;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Tests.Snapshot;

public sealed class DirtyTrackingTests
{
    [Fact]
    public void Nothing_is_recorded_on_behalf_of_a_hypervisor_that_cannot()
    {
        using GuestMemory memory = GuestRamAllocator.Allocate([new RamPiece(0, 1UL << 20)]);
        var tracking = new DirtyTracking(memory, new NoLog());
        Assert.Throws<InvalidOperationException>(tracking.Add);
        var dirty = new DirtyBitmap(memory.Regions);
        memory.MarkDirty(0, 1);
        memory.CollectDeviceWrites(dirty);
        Assert.Equal(0, dirty.CountPages());
    }

    private sealed class NoLog : IDirtyLog
    {
        public void Start() => throw new InvalidOperationException("no log");

        public void Collect(DirtyBitmap into) => Assert.Fail("nothing was started");

        public void Stop() => Assert.Fail("nothing was started");
    }
}
