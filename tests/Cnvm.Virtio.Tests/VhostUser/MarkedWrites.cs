using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio.Tests.Block;
using Cnvm.Virtio.Tests.Support;

namespace Cnvm.Virtio.Tests.VhostUser;

/// <summary>What a back end must mark in its log, whoever's it is.</summary>
internal static class MarkedWrites
{
    private const byte Ok = 0;

    /// <summary>Starts to track; what is read since then is marked, and once only. Tracking goes on.</summary>
    public static void Check(TestMemory memory, PciGuest guest, BlockDriver driver)
    {
        var dirty = new DirtyBitmap(memory.Guest.Regions);
        Read(0, 4096, BlockDriver.Data);
        memory.Guest.CollectDeviceWrites(dirty);
        Assert.Equal(0, dirty.CountPages());

        memory.Guest.StartDirtyTracking();
        Read(0, 4096 * 3, BlockDriver.Data + 0x1000);
        Read(0, 512, 0x50_3000);
        memory.Guest.CollectDeviceWrites(dirty);
        foreach (ulong page in (ulong[])[0x101, 0x102, 0x103, BlockDriver.Status >> 12, driver.Queue.UsedRing >> 12])
        {
            Assert.True(dirty.IsDirty(0, page), $"page 0x{page:x}");
        }

        Assert.True(dirty.IsDirty(1, 3));
        Assert.Equal(6, dirty.CountPages());
        dirty.Clear();
        memory.Guest.CollectDeviceWrites(dirty);
        Assert.Equal(0, dirty.CountPages());

        // A page is marked after it is written, so the driver may see an entry of the used ring before its mark; the interrupt comes after both.
        void Read(ulong sector, int bytes, ulong to)
        {
            Assert.Equal(Ok, driver.Read(sector, bytes, to));
            guest.AwaitInterrupt(0);
        }
    }
}
