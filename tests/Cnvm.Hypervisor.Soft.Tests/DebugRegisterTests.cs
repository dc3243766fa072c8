using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>The guest's breakpoints and single steps (SDM vol. 3 chapter 17).</summary>
public sealed unsafe class DebugRegisterTests : IDisposable
{
    private const ulong Code = SoftMachine.CodeAddress;
    private const ulong Data = SoftMachine.DataAddress;
    private const byte End = 0x80;
    private const ulong B0 = 1;
    private const ulong B1 = 2;
    private const ulong B2 = 4;

    private readonly SoftMachine _m = new();
    private readonly List<(ulong Offset, ulong Dr6)> _debug = [];
    private readonly List<ulong> _frameFlags = [];

    /// <summary>What the handler of #DB does to the flags it returns to.</summary>
    private Func<ulong, ulong> _flags = static f => f | Rflags.RF;

    public DebugRegisterTests()
    {
        _m.AddHandlers();
        foreach (byte vector in (byte[])[1, 3])
        {
            // out vector, al ; iretq
            _m.Write(0xa000 + (vector * 16ul), 0xe6, vector, 0x48, 0xcf);
        }

        _m.Bus.OnPort = port =>
        {
            Cpu* c = _m.Vcpu.State;
            if (port != 1)
            {
                if (port is End or (not 3 and not 0x10))
                {
                    _m.Bus.Kick();
                }

                return;
            }

            ulong sp = c->R[4];
            _debug.Add((_m.Read64(sp) - Code, c->Dr[6] & 0xe00f));
            c->Dr[6] = 0xffff_0ff0;
            ulong flags = _m.Read64(sp + 16);
            _frameFlags.Add(flags);
            *(ulong*)(_m.Ram + sp + 16) = _flags(flags);
            if (_debug.Count > 20)
            {
                _m.Bus.Kick();
            }
        };
    }

    public void Dispose() => _m.Dispose();

    private void Run(byte[] code, Action<ulong[]>? registers = null, ulong flags = 0, ulong dr7 = 0)
    {
        _m.Write(Code, [.. code, 0xe6, End, 0xeb, 0xfe]);
        _m.Enter(0, CpuMode.Long, Code, r =>
        {
            r[7] = Data;
            registers?.Invoke(r);
        });
        Cpu* c = _m.Vcpu.State;
        c->Flags |= flags;
        c->Dr[7] = 0x400 | dr7;
        SoftVcpu.UpdateWatch(c);
        Assert.Equal(VcpuStopReason.Kicked, _m.Run().Reason);
        Assert.Equal(End, _m.Bus.Ports[^1].Port);
    }

    /// <summary>DR7 for one breakpoint.</summary>
    private static ulong Enable(int n, ulong kind, ulong length) =>
        (1ul << (n * 2)) | (kind << (16 + (n * 4))) | (length << (18 + (n * 4)));

    [Fact]
    public void An_instruction_breakpoint_is_a_fault_that_RF_holds_off()
    {
        _m.Vcpu.State->Dr[0] = Code + 1;
        int visits = 0;
        _flags = f => visits++ == 0 ? f : f | Rflags.RF;
        Run([0x90, 0x90, 0x90], dr7: Enable(0, 0, 0));
        Assert.Equal([(1ul, B0), (1ul, B0)], _debug);
        Assert.All(_frameFlags, static f => Assert.Equal(0ul, f & Rflags.RF));
    }

    [Fact]
    public void RF_covers_one_instruction_only()
    {
        Cpu* c = _m.Vcpu.State;
        c->Dr[0] = Code;
        c->Dr[3] = Code + 1;
        // Twice round: nop ; nop ; dec ecx ; jnz
        Run([0x90, 0x90, 0xff, 0xc9, 0x75, 0xfa], static r => r[1] = 2, dr7: Enable(0, 0, 0) | Enable(3, 0, 0));
        Assert.Equal([(0ul, B0), (1ul, 8ul), (0ul, B0), (1ul, 8ul)], _debug);
    }

    [Fact]
    public void Breakpoints_that_the_guest_sets_hold_from_the_next_instruction()
    {
        // mov eax, target ; mov dr0, rax ; mov eax, 0x401 ; mov dr7, rax ; nop ; xor eax, eax ; mov dr7, rax ; nop
        byte[] target = BitConverter.GetBytes((uint)Code + 16);
        Run([0xb8, .. target, 0x0f, 0x23, 0xc0, 0xb8, 1, 4, 0, 0, 0x0f, 0x23, 0xf8, 0x31, 0xc0, 0x0f, 0x23, 0xf8, 0x90, 0xeb, 0x00]);
        Assert.Equal([(16ul, B0)], _debug);
        Assert.Equal(0, _m.Vcpu.State->Watch);
    }

    [Theory]
    [InlineData(1, 3, 0, 4, "2")]
    [InlineData(3, 3, 0, 4, "2 4")]
    [InlineData(3, 3, 3, 1, "2 4")]
    [InlineData(3, 3, 4, 1, "")]
    [InlineData(3, 3, -1, 1, "")]
    [InlineData(3, 3, -3, 4, "2 4")]
    [InlineData(3, 3, -4, 4, "")]
    [InlineData(1, 0, 0, 1, "2")]
    [InlineData(1, 0, 1, 1, "")]
    [InlineData(1, 1, 1, 1, "2")]
    [InlineData(1, 1, 2, 1, "")]
    [InlineData(1, 2, 7, 1, "2")]
    [InlineData(1, 2, 8, 1, "")]
    [InlineData(0, 0, 0, 4, "")]
    public void Data_breakpoints_trap_after_accesses_that_overlap(int kind, int length, int offset, int size, string expected)
    {
        _m.Vcpu.State->Dr[1] = Data;
        byte form = (byte)(size == 1 ? 0 : 1);
        // Touch the page first so that the TLB would have it; then mov [rdi], eax ; mov eax, [rdi]
        Run([(byte)(0x88 | form), 0x07, (byte)(0x8a | form), 0x07], r => r[7] = Data + (ulong)(long)offset, dr7: 0);
        Run(
            [(byte)(0x88 | form), 0x07, (byte)(0x8a | form), 0x07],
            r => r[7] = Data + (ulong)(long)offset,
            dr7: Enable(1, (ulong)kind, (ulong)length));
        Assert.Equal(expected, string.Join(" ", _debug.Select(static d => d.Offset)));
        Assert.All(_debug, static d => Assert.Equal(B1, d.Dr6));
    }

    [Theory]
    [InlineData("F0FF07")] // lock inc dword [rdi]
    [InlineData("FF07")] // inc dword [rdi]
    [InlineData("D127")] // shl dword [rdi], 1
    [InlineData("8707")] // xchg [rdi], eax
    [InlineData("0F1107")] // movups [rdi], xmm0
    [InlineData("AA")] // stosb
    [InlineData("488D670850")] // lea rsp, [rdi+8] ; push rax
    [InlineData("488D6708E800000000")] // lea rsp, [rdi+8] ; call next
    [InlineData("0FC70F")] // cmpxchg8b [rdi]
    [InlineData("480FC70F")] // cmpxchg16b [rdi]
    [InlineData("DD17")] // fst qword [rdi]
    [InlineData("DB3F")] // fstp tword [rdi]
    [InlineData("0F9407")] // sete [rdi]
    public void Every_kind_of_write_meets_a_breakpoint(string code)
    {
        _m.Vcpu.State->Dr[0] = Data;
        byte[] form = Convert.FromHexString(code);
        Run([0xd9, 0xe8, .. form, 0x90], dr7: Enable(0, 1, 2));
        Assert.Equal([(2 + (ulong)form.Length, B0)], _debug);
    }

    [Fact]
    public void A_repeated_instruction_traps_after_the_element_that_meets_the_breakpoint()
    {
        _m.Vcpu.State->Dr[0] = Data + 0x12;
        List<ulong> left = [];
        _flags = f =>
        {
            left.Add(_m.Vcpu.State->R[1]);
            return f;
        };
        // rep movsb
        Run(
            [0xf3, 0xa4, 0x90],
            r =>
            {
                (r[1], r[6], r[7]) = (4, Data, Data + 0x10);
                _m.Write(Data, 1, 2, 3, 4);
            },
            dr7: Enable(0, 1, 0));
        Assert.Equal([(0ul, B0)], _debug);
        Assert.Equal([1ul], left);
        Assert.Equal([1, 2, 3, 4], _m.At(Data + 0x10, 4).ToArray());
    }

    [Fact]
    public void General_detect_faults_once_and_is_off_in_the_handler()
    {
        // mov rax, dr0
        _m.Vcpu.State->Dr[0] = 0x1234;
        Run([0x0f, 0x21, 0xc0], dr7: Dr6.Dr7GeneralDetect);
        Assert.Equal([(0ul, Dr6.BD)], _debug);
        Assert.NotEqual(0ul, _frameFlags[0] & Rflags.RF);
        Assert.Equal(0x400ul, _m.Vcpu.State->Dr[7]);
        Assert.Equal(0x1234ul, _m.Vcpu.State->R[0]);
    }

    [Fact]
    public void Single_steps_stop_after_each_instruction_and_each_repetition()
    {
        // 0 nop ; 1 mov ss, eax ; 3 nop ; 4 rep stosb ; 6 int3 ; 7 nop ; 8 nop
        _flags = f => _debug.Count < 7 ? f : f & ~Rflags.TF;
        Run([0x90, 0x8e, 0xd0, 0x90, 0xf3, 0xaa, 0xcc, 0x90, 0x90], static r => (r[0], r[1]) = (0x10, 3), flags: Rflags.TF);
        // Nothing between mov ss and what follows it, and nothing in the handler of int3.
        Assert.Equal([1, 4, 4, 4, 6, 8, 9], _debug.Select(static d => (int)d.Offset));
        Assert.All(_debug, static d => Assert.Equal(Dr6.BS, d.Dr6));
    }

    [Fact]
    public void A_step_and_a_data_breakpoint_are_one_exception()
    {
        _m.Vcpu.State->Dr[2] = Data;
        _flags = static f => f & ~Rflags.TF;
        Run([0x88, 0x07], flags: Rflags.TF, dr7: Enable(2, 1, 0));
        Assert.Equal([(2ul, B2 | Dr6.BS)], _debug);
    }

    [Theory]
    [InlineData(true, 0x10, 1)]
    [InlineData(true, 0x11, 0)]
    [InlineData(false, 0x10, 0)]
    public void Ports_have_breakpoints_with_CR4_DE(bool extensions, int port, int expected)
    {
        _m.Write(Code, 0x90);
        Cpu* c = _m.Vcpu.State;
        c->Dr[2] = (ulong)port;
        // mov rax, cr4 ; or/and al ; mov cr4, rax ; out 0x10, al
        byte[] change = extensions ? [0x0c, 0x08] : [0x24, 0xf7];
        Run([0x0f, 0x20, 0xe0, .. change, 0x0f, 0x22, 0xe0, 0xe6, 0x10], dr7: Enable(2, 2, 0));
        Assert.Equal(expected, _debug.Count);
        Assert.All(_debug, static d => Assert.Equal((10ul, B2), d));
    }

    [Fact]
    public void Breakpoints_survive_saving_and_restoring()
    {
        Run([0x90, 0x90]);
        Cpu* c = _m.Vcpu.State;
        c->Dr[0] = Code + 1;
        c->Dr[7] = 0x400 | Enable(0, 0, 0);
        VcpuState state = _m.Vcpu.Save();
        _m.Vcpu.Reset();
        Assert.Equal(0, c->Watch);
        _m.Vcpu.Restore(state);
        Assert.Equal(Cpu.WatchOn, c->Watch);
        c->R[17] = Code;
        _m.Run();
        Assert.Equal([(1ul, B0)], _debug);
    }
}
