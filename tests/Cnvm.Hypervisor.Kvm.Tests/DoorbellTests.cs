using Cnvm.Linux;
using static Cnvm.Hypervisor.Kvm.Tests.RecordingBus;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Kvm.Tests;

public sealed class DoorbellTests
{
    private const ushort StopPort = 0x604;
    private const ushort BellPort = 0x710;
    private const ulong BellAddress = TestGuest.Mmio + 0x50;

    [SkippableFact]
    public void DoorbellsSignalWithoutAnExitAndOnlyOnTheirValue()
    {
        var bus = new RecordingBus();
        using var guest = new TestGuest(bus);
        using var any = new EventFd();
        using var matching = new EventFd();
        using var port = new EventFd();
        IDisposable anyBell = guest.Partition.AddDoorbell(DoorbellSpace.Memory, BellAddress, 0, null, any);
        using IDisposable matchingBell = guest.Partition.AddDoorbell(DoorbellSpace.Memory, BellAddress + 8, 2, 7, matching);
        using IDisposable portBell = guest.Partition.AddDoorbell(DoorbellSpace.Port, BellPort, 4, null, port);
        guest.Load(c =>
        {
            c.mov(rbx, BellAddress);
            c.mov(eax, 7);
            c.mov(__dword_ptr[rbx], eax);
            c.mov(__word_ptr[rbx + 8], ax);
            c.mov(dx, BellPort);
            c.@out(dx, eax);
            c.mov(dx, StopPort);
            c.@out(dx, al);

            // Second part: another value, another width, and a doorbell that is gone.
            c.mov(eax, 8);
            c.mov(__word_ptr[rbx + 8], ax);
            c.mov(__dword_ptr[rbx], eax);
            c.mov(dx, BellPort);
            c.@out(dx, al);
            c.mov(dx, StopPort);
            c.@out(dx, al);
        });
        bus.After = a =>
        {
            if (a.Address == StopPort)
            {
                guest.Vcpu.Kick();
            }
        };
        guest.Vcpu.Bind();
        Assert.Equal(VcpuStopReason.Kicked, guest.Vcpu.Run().Reason);
        Assert.Equal([new Access("out", StopPort, 1, 7)], bus.Accesses);
        Assert.True(any.Drain());
        Assert.True(matching.Drain());
        Assert.True(port.Drain());

        bus.Accesses.Clear();
        anyBell.Dispose();
        Assert.Equal(VcpuStopReason.Kicked, guest.Vcpu.Run().Reason);
        Assert.Equal(
            [
                new Access("store", BellAddress + 8, 2, 8),
                new Access("store", BellAddress, 4, 8),
                new Access("out", BellPort, 1, 8),
                new Access("out", StopPort, 1, 8),
            ],
            bus.Accesses);
        Assert.False(any.Drain());
        Assert.False(matching.Drain());
        Assert.False(port.Drain());
    }

    [SkippableFact]
    public void DoorbellOfOddWidthIsRefused()
    {
        using var guest = new TestGuest(new RecordingBus());
        using var bell = new EventFd();
        Assert.Throws<ArgumentOutOfRangeException>(() => guest.Partition.AddDoorbell(DoorbellSpace.Memory, BellAddress, 3, null, bell));
        Assert.Throws<ArgumentOutOfRangeException>(() => guest.Partition.AddDoorbell(DoorbellSpace.Memory, BellAddress, 0, 1, bell));
    }
}
