using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>What a vCPU was about to take where it was saved, it takes where it goes on.</summary>
public sealed unsafe class ArrivedEventTests : IDisposable
{
    private const ulong Code = SoftMachine.CodeAddress;
    private const byte DB = 1;
    private const byte UD = 6;
    private const byte End = 0x80;
    private const ulong TF = 0x100;
    private const ulong BS = 0x4000;
    private const ulong B1 = 2;

    // RTM and the other bits that are 1 when nothing is met.
    private const ulong Dr6Quiet = 0xffff_0ff0;

    private readonly SoftMachine _m = new();
    private readonly List<(ulong Offset, ulong Dr6)> _debug = [];

    public ArrivedEventTests()
    {
        _m.AddHandlers();
        _m.Bus.OnPort = port =>
        {
            if (port == DB)
            {
                _debug.Add((_m.Read64(_m.Vcpu.State->R[4]) - Code, _m.Vcpu.State->Dr[6]));
            }

            _m.Bus.Kick();
        };
    }

    public void Dispose() => _m.Dispose();

    [Theory]
    [InlineData(BS, Dr6Quiet | BS)]
    [InlineData(B1 | 0x1000, Dr6Quiet | B1)]
    [InlineData(BS | 0x1_0000, (Dr6Quiet | BS) & ~0x1_0000ul)]
    public void A_debug_trap_that_waits_comes_with_its_conditions(ulong payload, ulong dr6)
    {
        VcpuEvents waits = new() { ExceptionPending = true, ExceptionVector = DB, ExceptionHasPayload = true, ExceptionPayload = payload };
        GoOn(waits);
        Assert.Equal((0UL, dr6), Assert.Single(_debug));
    }

    /// <summary>DR6 says already why.</summary>
    [Fact]
    public void A_debug_trap_that_was_being_delivered_is_delivered()
    {
        GoOn(new VcpuEvents { ExceptionInjected = true, ExceptionVector = DB }, s => s with { Dr6 = Dr6Quiet | BS });
        Assert.Equal((0UL, Dr6Quiet | BS), Assert.Single(_debug));
    }

    [Fact]
    public void A_halted_processor_takes_it_too()
    {
        GoOn(new VcpuEvents { ExceptionInjected = true, ExceptionVector = DB }, s => s with { MpState = MpState.Halted });
        Assert.Equal(0UL, Assert.Single(_debug).Offset);
    }

    /// <summary>The instruction that is to raise it is executed again: a NOP in its place raises nothing.</summary>
    [Fact]
    public void A_fault_comes_from_its_instruction()
    {
        GoOn(new VcpuEvents { ExceptionInjected = true, ExceptionVector = UD });
        Assert.Equal([End], _m.Bus.Ports.Select(static p => (byte)p.Port));
    }

    /// <summary>After MOV SS and after STI: a step traps behind the instruction that they protect, and the trap is not lost.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_step_in_the_shadow_traps_behind_it(byte shadow)
    {
        GoOn(new VcpuEvents { InterruptShadow = shadow }, s => s with { General = s.General with { Rflags = s.General.Rflags | TF } });
        Assert.Equal((1UL, Dr6Quiet | BS), Assert.Single(_debug));
    }

    [Fact]
    public void A_processor_that_has_shut_down_says_so()
    {
        Restore(new VcpuEvents { TripleFaultPending = true }, static s => s);
        Assert.Equal(VcpuStopReason.Shutdown, _m.Run().Reason);
        Assert.Equal(new VcpuEvents(), _m.Vcpu.Save().Events);
    }

    [Fact]
    public void Init_forgets_what_was_on_the_way()
    {
        Restore(new VcpuEvents { ExceptionInjected = true, ExceptionVector = DB, InterruptInjected = true, InterruptVector = 0x40 }, static s => s);
        _m.Vcpu.PostInit();
        VcpuState after = _m.Vcpu.Save();
        Assert.Equal((MpState.WaitForSipi, new VcpuEvents()), (after.MpState, after.Events));
    }

    private void GoOn(VcpuEvents events, Func<VcpuState, VcpuState>? change = null)
    {
        Restore(events, change ?? (static s => s));
        Assert.Equal(VcpuStopReason.Kicked, _m.Run().Reason);
        Assert.Equal(new VcpuEvents(), _m.Vcpu.Save().Events);
    }

    /// <summary>Saved once more before it runs, nothing is lost either.</summary>
    private void Restore(VcpuEvents events, Func<VcpuState, VcpuState> change)
    {
        _m.Write(Code, 0x90, 0x90, 0xe6, End, 0xeb, 0xfe);
        _m.Enter(0, CpuMode.Long, Code);
        VcpuState state = change(_m.Vcpu.Save() with { Events = events });
        _m.Vcpu.Restore(state);
        Assert.Equal(events, _m.Vcpu.Save().Events);
        VcpuState again = _m.Vcpu.Save();
        _m.Vcpu.Restore(again);
        Assert.Equal((events, state.Dr6, state.MpState), (again.Events, again.Dr6, again.MpState));
    }
}
