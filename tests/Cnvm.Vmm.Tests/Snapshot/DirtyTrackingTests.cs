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

    /// <summary>The hypervisor tells a page once: what it told before it failed has to be kept, with what devices wrote, for everybody who reads.</summary>
    [Fact]
    public void What_was_told_before_a_failure_is_not_lost()
    {
        using GuestMemory memory = GuestRamAllocator.Allocate([new RamPiece(0, 1UL << 20)]);
        var log = new FailingLog();
        var tracking = new DirtyTracking(memory, log);
        DirtyBitmap first = tracking.Add();
        DirtyBitmap second = tracking.Add();
        memory.MarkDirty(3 << 12, 1);
        log.Fails = true;
        Assert.Throws<InvalidOperationException>(tracking.Collect);
        Assert.Equal((0L, 0L), (first.CountPages(), second.CountPages()));
        log.Fails = false;
        tracking.Collect();
        foreach (DirtyBitmap reader in (DirtyBitmap[])[first, second])
        {
            Assert.True(reader.IsDirty(0, FailingLog.Page) && reader.IsDirty(0, 3));
            Assert.Equal(2, reader.CountPages());
        }
    }

    private sealed class FailingLog : IDirtyLog
    {
        public const ulong Page = 5;

        public bool Fails { get; set; }

        public void Start()
        {
        }

        public void Collect(DirtyBitmap into)
        {
            if (Fails)
            {
                into.MarkPage(0, Page);
                throw new InvalidOperationException("the second slot's log cannot be read");
            }
        }

        public void Stop()
        {
        }
    }

    private sealed class NoLog : IDirtyLog
    {
        public void Start() => throw new InvalidOperationException("no log");

        public void Collect(DirtyBitmap into) => Assert.Fail("nothing was started");

        public void Stop() => Assert.Fail("nothing was started");
    }
}
