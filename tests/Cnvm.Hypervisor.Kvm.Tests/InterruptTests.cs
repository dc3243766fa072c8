using System.Threading.Channels;
using Cnvm.Arch;
using Cnvm.Linux;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Kvm.Tests;

/// <summary>
/// Interrupts of every origin. The guest reports each one on a port: its main loop, at privilege level 3, watches the counter
/// that the handler increments.
/// </summary>
public sealed class InterruptTests
{
    private const byte Vector = 0x41;
    private const ushort ReportPort = 0x700;
    private const ulong ApicAddress = 0xfee0_0000;
    private const uint Level = (1 << 15) | (1 << 14);

    private static (TestGuest Guest, RecordingBus Bus, ChannelReader<ulong> Reports) Build(byte vector, bool endAtApic = true)
    {
        var bus = new RecordingBus();
        var guest = new TestGuest(bus);
        guest.CountInterrupts(vector, TestGuest.Data, endAtApic);
        guest.Load(c =>
        {
            Label changed = c.CreateLabel();
            Label wait = c.CreateLabel();
            TestGuest.EnableApic(c);
            c.mov(dx, ReportPort);
            c.xor(ebx, ebx);
            c.Label(ref changed);
            c.mov(eax, ebx);
            c.@out(dx, eax);
            c.Label(ref wait);
            c.cmp(__qword_ptr[TestGuest.Data], rbx);
            c.je(wait);
            c.mov(rbx, __qword_ptr[TestGuest.Data]);
            c.jmp(changed);
        });
        Channel<ulong> reports = Channel.CreateUnbounded<ulong>();
        bus.After = a =>
        {
            if (a.Kind == "out" && a.Address == ReportPort)
            {
                reports.Writer.TryWrite(a.Value);
            }
        };
        return (guest, bus, reports.Reader);
    }

    private static async Task Expect(ChannelReader<ulong> reports, ulong count)
    {
        using var limit = new CancellationTokenSource(TestGuest.Limit);
        Assert.Equal(count, await reports.ReadAsync(limit.Token));
    }

    [SkippableFact]
    public async Task SignalledMessagesArrive()
    {
        (TestGuest guest, _, ChannelReader<ulong> reports) = Build(Vector);
        using TestGuest owned = guest;
        Task<VcpuStop> run = guest.Start();
        await Expect(reports, 0);
        for (ulong i = 1; i <= 30; i++)
        {
            guest.Partition.Interrupts.SignalMsi(new MsiMessage(ApicAddress, Vector));
            await Expect(reports, i);
        }

        Assert.Equal(VcpuStopReason.Kicked, (await guest.Stop(run)).Reason);
        Assert.Equal(30UL, guest.ReadWord(TestGuest.Data));
    }

    [SkippableFact]
    public async Task EventfdOfRouteArrivesAndMaskedRouteDrops()
    {
        (TestGuest guest, _, ChannelReader<ulong> reports) = Build(Vector);
        using TestGuest owned = guest;
        using IMsiRoute route = guest.Partition.Interrupts.CreateMsiRoute();
        EventFd trigger = route.Trigger;
        Task<VcpuStop> run = guest.Start();
        await Expect(reports, 0);
        route.Signal();
        route.SetMessage(new MsiMessage(ApicAddress, Vector));
        for (ulong i = 1; i <= 20; i += 2)
        {
            trigger.Signal();
            await Expect(reports, i);
            route.Signal();
            await Expect(reports, i + 1);
        }

        // What was signalled while masked is dropped, so the one after unmasking is the only one that counts.
        route.SetMessage(null);
        route.Signal();
        route.SetMessage(new MsiMessage(ApicAddress, Vector));
        trigger.Signal();
        await Expect(reports, 21);

        // The kernel may look at the route of an eventfd a moment after the signal (irqfd's work), so this one stays masked.
        route.SetMessage(null);
        trigger.Signal();
        Assert.Equal(VcpuStopReason.Kicked, (await guest.Stop(run)).Reason);
        Assert.Equal(21UL, guest.ReadWord(TestGuest.Data));
    }

    [SkippableFact]
    public async Task EndOfLevelTriggeredInterruptReachesTheBus()
    {
        (TestGuest guest, RecordingBus bus, ChannelReader<ulong> reports) = Build(Vector);
        using TestGuest owned = guest;
        var message = new MsiMessage(ApicAddress, Vector | Level);
        guest.Partition.Interrupts.SetIoApicRoute(5, message);
        Task<VcpuStop> run = guest.Start();
        await Expect(reports, 0);
        guest.Partition.Interrupts.SignalMsi(message);
        await Expect(reports, 1);
        guest.Partition.Interrupts.SetIoApicRoute(5, null);
        await guest.Stop(run);
        Assert.Equal([new RecordingBus.Access("eoi", Vector, 0, 0)], bus.Accesses.Where(a => a.Kind == "eoi"));
        Assert.Equal(1UL, guest.Vcpu.ExitCounters.EndOfInterrupt);
    }

    [SkippableFact]
    public async Task EdgeTriggeredInterruptEndsWithoutAnExit()
    {
        (TestGuest guest, RecordingBus bus, ChannelReader<ulong> reports) = Build(Vector);
        using TestGuest owned = guest;
        guest.Partition.Interrupts.SetIoApicRoute(5, new MsiMessage(ApicAddress, Vector));
        Task<VcpuStop> run = guest.Start();
        await Expect(reports, 0);
        guest.Partition.Interrupts.SignalMsi(new MsiMessage(ApicAddress, Vector));
        await Expect(reports, 1);
        await guest.Stop(run);
        Assert.DoesNotContain(bus.Accesses, a => a.Kind == "eoi");
    }

    [SkippableFact]
    public async Task PicInterruptIsAcknowledgedAndDelivered()
    {
        (TestGuest guest, RecordingBus bus, ChannelReader<ulong> reports) = Build(Vector, endAtApic: false);
        using TestGuest owned = guest;
        int acknowledged = 0;
        bus.Acknowledge = () =>
        {
            acknowledged++;
            guest.Vcpu.SetPicOutput(false);
            return Vector;
        };
        Task<VcpuStop> run = guest.Start();
        await Expect(reports, 0);
        for (ulong i = 1; i <= 20; i++)
        {
            guest.Vcpu.SetPicOutput(true);
            await Expect(reports, i);
        }

        await guest.Stop(run);
        Assert.Equal(20, acknowledged);
    }

    [SkippableFact]
    public async Task NonMaskableInterruptArrivesWithInterruptsOff()
    {
        var bus = new RecordingBus();
        using var guest = new TestGuest(bus);
        guest.CountInterrupts(2, TestGuest.Data, endAtApic: false);
        guest.Put(
            c =>
            {
                Label wait = c.CreateLabel();
                c.Label(ref wait);
                c.cmp(__qword_ptr[TestGuest.Data], 0);
                c.je(wait);
                c.mov(dx, ReportPort);
                c.@out(dx, eax);
                c.jmp(wait);
            },
            TestGuest.Code);
        guest.Vcpu.SetEntry(TestGuest.UserEntry(TestGuest.Code, rflags: 2));
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        bus.After = _ => arrived.TrySetResult();
        Task<VcpuStop> run = guest.Start();
        guest.Vcpu.InjectNmi();
        await arrived.Task.WaitAsync(TestGuest.Limit);
        await guest.Stop(run);
        Assert.Equal(1UL, guest.ReadWord(TestGuest.Data));
    }
}
