using Cnvm.Hypervisor.Memory;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Kvm.Tests;

public sealed class DirtyLogTests
{
    private const ushort StopPort = 0x604;
    private const int PageSize = 4096;

    /// <summary>A guest that, at each run, writes every page of the list that stands at <see cref="TestGuest.Data"/>.</summary>
    private static TestGuest Build(bool ring, out RecordingBus bus)
    {
        bus = new RecordingBus();
        var guest = new TestGuest(bus, ring);
        guest.Load(c =>
        {
            Label start = c.CreateLabel();
            Label next = c.CreateLabel();
            Label end = c.CreateLabel();
            c.Label(ref start);
            c.mov(rsi, TestGuest.Data);
            c.Label(ref next);
            c.mov(rbx, __qword_ptr[rsi]);
            c.test(rbx, rbx);
            c.je(end);
            c.mov(__qword_ptr[rbx + 0x18], rsi);
            c.add(rsi, 8);
            c.jmp(next);
            c.Label(ref end);
            c.mov(dx, StopPort);
            c.@out(dx, al);
            c.jmp(start);
        });
        bus.After = a => guest.Vcpu.Kick();
        guest.Vcpu.Bind();
        return guest;
    }

    private static void Write(TestGuest guest, params ulong[] pages)
    {
        for (int i = 0; i <= pages.Length; i++)
        {
            BitConverter.TryWriteBytes(guest.Memory.GetSpan(TestGuest.Data + (8UL * (ulong)i), 8), i < pages.Length ? pages[i] * PageSize : 0);
        }

        Assert.Equal(VcpuStopReason.Kicked, guest.Vcpu.Run().Reason);
    }

    private static ulong[] Collect(TestGuest guest)
    {
        var bitmap = new DirtyBitmap([guest.Region]);
        guest.Partition.DirtyLog.Collect(bitmap);
        return [.. Enumerable.Range(0, (int)(TestGuest.RamSize / PageSize)).Where(p => bitmap.IsDirty(0, (ulong)p)).Select(p => (ulong)p)];
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void LogHoldsExactlyTheWrittenPages(bool ring)
    {
        using TestGuest guest = Build(ring, out _);
        Skip.If(ring && !guest.Kvm.Capabilities.DirtyRing, "this KVM has no dirty ring");

        // Accessed bits of page tables are writes too, so the first round only warms them up.
        Write(guest, 0x210, 0x3ff);
        guest.Partition.DirtyLog.Start();
        Write(guest, 0x210);
        Collect(guest);

        Write(guest, 0x212, 0x213, 0x2ff, 0x3fe);
        Assert.Equal([0x212UL, 0x213, 0x2ff, 0x3fe], Collect(guest));
        Assert.Empty(Collect(guest));

        // A page that was collected is logged again when it is written again.
        Write(guest, 0x212);
        Assert.Equal([0x212UL], Collect(guest));

        guest.Partition.DirtyLog.Stop();
        Write(guest, 0x220);
        guest.Partition.DirtyLog.Start();
        Write(guest, 0x221);
        Assert.Equal([0x221UL], Collect(guest));
    }

    [SkippableFact]
    public void FullRingIsHarvestedAndLosesNothing()
    {
        using TestGuest guest = Build(ring: true, out _);
        Skip.IfNot(guest.Kvm.Capabilities.DirtyRing, "this KVM has no dirty ring");

        // More pages than the ring has entries (4096).
        ulong[] pages = [.. Enumerable.Range(0x400, 6000).Select(p => (ulong)p)];
        guest.Partition.DirtyLog.Start();
        for (int round = 0; round < 3; round++)
        {
            ulong exits = guest.Vcpu.ExitCounters.Other;
            Write(guest, pages);
            Assert.True(guest.Vcpu.ExitCounters.Other > exits, "the ring was never full");
            Assert.Equal(pages, Collect(guest).Where(p => p >= 0x400));
        }
    }

    [SkippableFact]
    public void RegionMappedWhileLoggingIsLoggedToo()
    {
        using TestGuest guest = Build(ring: false, out _);
        guest.Partition.DirtyLog.Start();
        guest.Partition.UnmapRam(guest.Region);
        guest.Partition.MapRam(guest.Region);
        Write(guest, 0x2aa);
        Assert.Contains(0x2aaUL, Collect(guest));
    }
}
