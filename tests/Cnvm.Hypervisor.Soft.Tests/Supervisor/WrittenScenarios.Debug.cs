using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>
/// Single steps. QEMU's own processor ends with an error where a guest of its guest sets breakpoints, and has neither general detect nor
/// steps behind STI: DebugRegisterTests compares those with the manual.
/// </summary>
internal static partial class WrittenScenarios
{
    /// <summary>Notes where #DB stopped and why, and goes on without stepping.</summary>
    private static Scenario WithDebugHandler(Scenario s, bool keepStepping = false) => s.Set(static x => x.Registers[14] = Layout.KernelData + 0x400).Handler(1, 8, a =>
    {
        a.push(rax);
        a.mov(eax, __dword_ptr[rsp + 8]);
        a.mov(__dword_ptr[r14], eax);
        a.mov(rax, dr6);
        // It sets bits of breakpoints that are not enabled too, as it may.
        a.and(eax, 0xe000);
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

    /// <summary>pushfq ; and dword [rsp], ~TF ; popfq ; nop</summary>
    private const string StopStepping = "9C812424FFFEFFFF9D90";

    private static IEnumerable<Scenario> Debugging()
    {
        (string Name, string Code)[] codes =
        [
            ("nop", "9090"), ("store", "890790"), ("load", "8B0790"), ("push", "50 90"), ("movs", "A490"), ("rep-stos", "B903000000F3AA90"),
            ("rep-movs", "B903000000F3A490"), ("mov-ss", "B8100000008ED09090"), ("pushf", "9C5890"), ("popf", "9C9D9090"), ("int", "CD2090"),
            ("bp", "CC90"), ("ud2", "0F0B90"), ("jmp", "EB0090"), ("call", "E80000000058"), ("cpuid", "31C00FA290"), ("out", "E6F190"),
            ("mov-cr", "0F20C090"), ("wrmsr", "B974010000 31C0 31D2 0F3090"), ("iret", "6A10 54 4883042408 9C 6A08 50 58 90"),
            ("locked", "F0FF0790"), ("xchg", "870790"),
        ];
        foreach ((string name, string code) in codes)
        {
            Scenario step = new("step-" + name) { Flags = 0x102 };
            step.Registers[7] = Layout.KernelData;
            step.Registers[6] = Layout.KernelData + 0x80;
            yield return WithDebugHandler(step.Code(code + StopStepping), keepStepping: true);
        }

        yield return WithDebugHandler(new Scenario("user-step", ScenarioMode.LongUser) { Flags = 0x3102 }).Code("9090" + StopStepping);
                yield return new Scenario("breakpoint-gate-user", ScenarioMode.LongUser) { Flags = 0x3002 }.Gate(3, Layout.Handlers + 48, Layout.Code64, 0xee).Code("CC");
        yield return new Scenario("overflow-gate-user", ScenarioMode.CompatibilityUser) { Flags = 0x3802 }.Gate(4, Layout.Handlers + 64, Layout.Code64, 0xee).Code("CE");
    }
}
