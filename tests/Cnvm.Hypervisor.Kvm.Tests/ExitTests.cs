using Iced.Intel;
using static Cnvm.Hypervisor.Kvm.Tests.RecordingBus;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Kvm.Tests;

public sealed class ExitTests
{
    private const ushort StopPort = 0x604;

    /// <summary>Runs a program until it writes the stop port; returns its accesses without that one.</summary>
    private static List<Access> Run(Action<Assembler> program, RecordingBus bus, TestGuest guest)
    {
        guest.Load(c =>
        {
            program(c);
            c.mov(dx, StopPort);
            c.@out(dx, al);
        });
        bus.After = a =>
        {
            if (a.Kind == "out" && a.Address == StopPort)
            {
                guest.Vcpu.Kick();
            }
        };
        guest.Vcpu.Bind();
        VcpuStop stop = guest.Vcpu.Run();
        Assert.Equal(new VcpuStop(VcpuStopReason.Kicked), stop);
        return bus.Accesses[..^1];
    }

    [SkippableFact]
    public void PortWritesOfEveryWidthArriveWithTheirValues()
    {
        var bus = new RecordingBus();
        using var guest = new TestGuest(bus);
        List<Access> seen = Run(
            c =>
            {
                c.mov(eax, 0x11223344);
                c.mov(dx, 0x510);
                c.@out(dx, al);
                c.@out(dx, ax);
                c.@out(dx, eax);
                c.@out(0x80, al);
            },
            bus,
            guest);
        Assert.Equal(
            [new("out", 0x510, 1, 0x44), new("out", 0x510, 2, 0x3344), new("out", 0x510, 4, 0x11223344), new("out", 0x80, 1, 0x44)],
            seen);
        Assert.Equal(5UL, guest.Vcpu.ExitCounters.PortOut);
    }

    [SkippableFact]
    public void PortReadsOfEveryWidthReachTheGuest()
    {
        var bus = new RecordingBus { Answer = (_, _, _) => 0xdeadbeef };
        using var guest = new TestGuest(bus);
        Run(
            c =>
            {
                c.mov(dx, 0x510);
                c.mov(rax, ulong.MaxValue);
                c.@in(al, dx);
                c.mov(__qword_ptr[TestGuest.Data], rax);
                c.@in(ax, dx);
                c.mov(__qword_ptr[TestGuest.Data + 8], rax);
                c.@in(eax, dx);
                c.mov(__qword_ptr[TestGuest.Data + 16], rax);
            },
            bus,
            guest);
        Assert.Equal(0xffff_ffff_ffff_ffef, guest.ReadWord(TestGuest.Data));
        Assert.Equal(0xffff_ffff_ffff_beef, guest.ReadWord(TestGuest.Data + 8));
        Assert.Equal(0xdeadbeefUL, guest.ReadWord(TestGuest.Data + 16));
    }

    [SkippableFact]
    public void MemoryAccessesOfEveryWidthArriveWithTheirValues()
    {
        var bus = new RecordingBus { Answer = (_, _, _) => 0x8877665544332211 };
        using var guest = new TestGuest(bus);
        List<Access> seen = Run(
            c =>
            {
                c.mov(rbx, TestGuest.Mmio);
                c.mov(rax, 0xa1a2a3a4a5a6a7a8);
                c.mov(__byte_ptr[rbx], al);
                c.mov(__word_ptr[rbx + 2], ax);
                c.mov(__dword_ptr[rbx + 4], eax);
                c.mov(__qword_ptr[rbx + 8], rax);
                c.movzx(ecx, __byte_ptr[rbx]);
                c.mov(__qword_ptr[TestGuest.Data], rcx);
                c.movzx(ecx, __word_ptr[rbx]);
                c.mov(__qword_ptr[TestGuest.Data + 8], rcx);
                c.mov(ecx, __dword_ptr[rbx]);
                c.mov(__qword_ptr[TestGuest.Data + 16], rcx);
                c.mov(rcx, __qword_ptr[rbx]);
                c.mov(__qword_ptr[TestGuest.Data + 24], rcx);
            },
            bus,
            guest);
        Assert.Equal(
            [
                new("store", TestGuest.Mmio, 1, 0xa8),
                new("store", TestGuest.Mmio + 2, 2, 0xa7a8),
                new("store", TestGuest.Mmio + 4, 4, 0xa5a6a7a8),
                new("store", TestGuest.Mmio + 8, 8, 0xa1a2a3a4a5a6a7a8),
                new("load", TestGuest.Mmio, 1, 0x11),
                new("load", TestGuest.Mmio, 2, 0x2211),
                new("load", TestGuest.Mmio, 4, 0x44332211),
                new("load", TestGuest.Mmio, 8, 0x8877665544332211),
            ],
            seen);
        Assert.Equal(0x11UL, guest.ReadWord(TestGuest.Data));
        Assert.Equal(0x2211UL, guest.ReadWord(TestGuest.Data + 8));
        Assert.Equal(0x44332211UL, guest.ReadWord(TestGuest.Data + 16));
        Assert.Equal(0x8877665544332211, guest.ReadWord(TestGuest.Data + 24));
    }

    [SkippableFact]
    public void StringPortAccessesMoveEveryElement()
    {
        byte next = 0;
        var bus = new RecordingBus { Answer = (_, _, _) => next++ };
        using var guest = new TestGuest(bus);
        "string I/O"u8.CopyTo(guest.Memory.GetSpan(TestGuest.Data, 16));
        List<Access> seen = Run(
            c =>
            {
                c.mov(rsi, TestGuest.Data);
                c.mov(ecx, 10);
                c.mov(dx, 0xe9);
                c.rep.outsb();
                c.mov(rdi, TestGuest.Data + 0x100);
                c.mov(ecx, 5);
                c.rep.insw();
            },
            bus,
            guest);
        Assert.Equal("string I/O", string.Concat(seen.Where(a => a.Kind == "out").Select(a => (char)a.Value)));
        Assert.Equal(5, seen.Count(a => a is { Kind: "in", Size: 2 }));
        Assert.Equal([0, 0, 1, 0, 2, 0, 3, 0, 4, 0], guest.Memory.GetSpan(TestGuest.Data + 0x100, 10).ToArray());
    }
}
