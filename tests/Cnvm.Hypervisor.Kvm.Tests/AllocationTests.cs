using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Kvm.Tests;

public sealed class AllocationTests
{
    [SkippableFact]
    public void ExitsAllocateNothing()
    {
        const int Warm = 1000;
        const int Exits = 20_000;
        var bus = new CountingBus { Limit = Warm };
        using var guest = new TestGuest(bus);
        bus.Target = guest.Vcpu;
        guest.Load(c =>
        {
            c.mov(dx, 0x700);
            c.mov(rbx, TestGuest.Mmio);
            Label again = c.CreateLabel();
            c.Label(ref again);
            c.@out(dx, al);
            c.@in(eax, dx);
            c.mov(__dword_ptr[rbx], eax);
            c.mov(rax, __qword_ptr[rbx]);
            c.jmp(again);
        });
        guest.Vcpu.Bind();
        guest.Vcpu.Run();
        bus.Limit = Warm + Exits;
        long before = GC.GetAllocatedBytesForCurrentThread();
        guest.Vcpu.Run();
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(Warm + Exits, bus.Count);
        Assert.Equal(0, allocated);
    }
}
