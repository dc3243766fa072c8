using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>Breakpoints and single steps, which this machine's own KVM does not have.</summary>
internal static partial class WrittenScenarios
{
    /// <summary>Notes where #DB stopped and why, and goes on without stepping.</summary>
    private static Scenario WithDebugHandler(Scenario s, bool keepStepping = false) => s.Set(static x => x.Registers[14] = Layout.KernelData + 0x400).Handler(1, 8, a =>
    {
        // Into memory: an exit on the way would make QEMU's processor forget its breakpoints.
        a.push(rax);
        a.mov(eax, __dword_ptr[rsp + 8]);
        a.mov(__dword_ptr[r14], eax);
        a.mov(rax, dr6);
        // It sets bits of breakpoints that are not enabled too, as it may.
        a.and(eax, keepStepping ? 0xe000 : 0xe00f);
        a.mov(__dword_ptr[r14 + 4], eax);
        a.mov(eax, 0xffff_0ff0);
        a.mov(dr6, rax);
        a.mov(eax, __dword_ptr[rsp + 24]);
        a.mov(__dword_ptr[r14 + 8], eax);
        a.add(r14, 16);
        if (!keepStepping)
        {
            a.and(__qword_ptr[rsp + 24], ~0x100);
        }

        a.or(__dword_ptr[rsp + 24], 0x1_0000);
        a.pop(rax);
        a.iretq();
    });

    private static ulong Dr7(int n, ulong kind, ulong length) => 0x400 | (1ul << (n * 2)) | (kind << (16 + (n * 4))) | (length << (18 + (n * 4)));

    /// <summary>pushfq ; and dword [rsp], ~TF ; popfq ; nop</summary>
    private const string StopStepping = "9C812424FFFEFFFF9D90";

    private const uint SetWatchLength = 21;

    /// <summary>mov rax, address ; mov drN, rax ; mov eax, dr7 ; mov dr7, rax: QEMU's processor watches what it was told itself.</summary>
    private static string SetWatch(ulong address, int n, ulong dr7) => "48B8" + Convert.ToHexString(BitConverter.GetBytes(address))
        + $"0F23{0xc0 | (n << 3):X2}" + "B8" + Convert.ToHexString(BitConverter.GetBytes((uint)dr7)) + "0F23F8";

    private static IEnumerable<Scenario> Debugging()
    {
        (string Name, string Code)[] codes =
        [
            ("nop", "9090"), ("store", "890790"), ("load", "8B0790"), ("push", "50 90"), ("movs", "A490"), ("rep-stos", "B903000000F3AA90"),
            ("rep-movs", "B903000000F3A490"), ("mov-ss", "B8100000008ED09090"), ("pushf", "9C5890"), ("popf", "9C9D9090"), ("int", "CD2090"),
            ("bp", "CC90"), ("ud2", "0F0B90"), ("jmp", "EB0090"), ("call", "E80000000058"), ("cpuid", "31C00FA290"), ("rdtsc", "0F3190"), ("out", "E6F190"),
            ("mov-cr", "0F20C090"), ("wrmsr", "B974010000 31C0 31D2 0F3090"), ("iret", "6A10 54 4883042408 9C 6A08 50 58 90"),
            ("sti", "FB9090"), ("locked", "F0FF0790"), ("xchg", "870790"),
        ];
        foreach ((string name, string code) in codes)
        {
            Scenario step = new("step-" + name) { Flags = 0x102 };
            step.Registers[7] = Layout.KernelData;
            step.Registers[6] = Layout.KernelData + 0x80;
            yield return Debugged(WithDebugHandler(step.Code(code + StopStepping), keepStepping: true), name);

            foreach ((string kind, ulong dr7) in ((string, ulong)[])[("write", Dr7(0, 1, 3)), ("access", Dr7(0, 3, 3)), ("byte", Dr7(0, 1, 0))])
            {
                Scenario data = new($"watch-{kind}-{name}") ;
                data.Registers[7] = Layout.KernelData;
                data.Registers[6] = Layout.KernelData + 0x80;
                yield return Debugged(WithDebugHandler(data.Code(SetWatch(Layout.KernelData, 0, dr7) + code)), name);
            }

            for (uint at = 0; at < 3; at++)
            {
                Scenario execute = new($"break-{at}-{name}") ;
                execute.Registers[7] = Layout.KernelData;
                execute.Registers[6] = Layout.KernelData + 0x80;
                yield return Debugged(WithDebugHandler(execute.Code(SetWatch(execute.CodeAddress + SetWatchLength + at, 1, Dr7(1, 0, 0)) + code)), name);
            }
        }

        for (int dr = 0; dr < 8; dr++)
        {
            foreach (bool write in (bool[])[false, true])
            {
                Scenario detect = new($"general-detect-dr{dr}-{(write ? "write" : "read")}") { Dr7 = 0x2400 };
                yield return WithDebugHandler(detect).Code($"0F{(write ? 23 : 21)}{0xc0 | (dr << 3):X2}");
            }
        }

        yield return WithDebugHandler(new Scenario("user-step", ScenarioMode.LongUser) { Flags = 0x3102 }).Code("9090" + StopStepping);
                yield return new Scenario("breakpoint-gate-user", ScenarioMode.LongUser) { Flags = 0x3002 }.Gate(3, Layout.Handlers + 48, Layout.Code64, 0xee).Code("CC");
        yield return new Scenario("overflow-gate-user", ScenarioMode.CompatibilityUser) { Flags = 0x3802 }.Gate(4, Layout.Handlers + 64, Layout.Code64, 0xee).Code("CE");
    }

    /// <summary>Time passes, and CPUID says different things.</summary>
    private static Scenario Debugged(Scenario s, string code) => code switch
    {
        "rdtsc" => s.Ignore("rax", "time passes").Ignore("rdx", "time passes"),
        _ => s,
    };
}
