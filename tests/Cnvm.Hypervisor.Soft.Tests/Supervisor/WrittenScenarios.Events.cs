using Cnvm.Arch.Registers;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>Interrupts and the local APIC.</summary>
internal static partial class WrittenScenarios
{
    private const uint SoftwareEnable = 0x100;
    private const uint Eoi = 0xb0;
    private const uint SpuriousVector = 0xf0;
    private const uint TaskPriority = 0x80;
    private const uint ProcessorPriority = 0xa0;
    private const uint InService = 0x100;
    private const uint Requests = 0x200;
    private const uint CommandLow = 0x300;
    private const uint CommandHigh = 0x310;
    private const uint TimerEntry = 0x320;
    private const uint Errors = 0x280;
    private const uint InitialCount = 0x380;
    private const uint Divide = 0x3e0;

    private static readonly AssemblerRegister64 s_apic = r15;

    private static void Note(Assembler a) => a.@out(Layout.NotePort, eax);

    private static void NoteApic(Assembler a, uint register)
    {
        a.mov(eax, __dword_ptr[s_apic + (int)register]);
        Note(a);
    }

    private static void WriteApic(Assembler a, uint register, uint value) => a.mov(__dword_ptr[s_apic + (int)register], value);

    /// <summary>A handler that notes its vector, what the APIC says, and ends the interrupt.</summary>
    private static void Serve(Assembler a, uint vector)
    {
        a.mov(eax, vector);
        Note(a);
        NoteApic(a, InService + (vector / 32 * 16));
        NoteApic(a, Requests + (vector / 32 * 16));
        NoteApic(a, ProcessorPriority);
        WriteApic(a, Eoi, 0);
        a.iretq();
    }

    private static Scenario ApicScenario(string name, Action<Assembler> code)
    {
        Scenario s = new("apic-" + name);
        s.Registers[15] = Layout.XApic;
        s.Apic[(int)SpuriousVector] = SoftwareEnable | 0xff;
        for (int i = 0; i < 6; i++)
        {
            uint vector = (uint)(0x31 + (i * 0x10));
            s.Handler((int)vector, i, a => Serve(a, vector));
        }

        const string When = "where the interrupt comes is its own business";
        foreach (string word in (string[])["m14fd8", "m14fe8", "m14fa8", "m14fb8"])
        {
            s.Ignore(word, When);
        }

        return s.Assemble(code);
    }

    private static void WaitFor(Assembler a, int rounds)
    {
        Label again = a.CreateLabel();
        a.mov(ecx, rounds);
        a.Label(ref again);
        a.pause();
        a.dec(ecx);
        a.jne(again);
    }

    /// <summary>An IPI to itself, and a jump, behind which it has come: how long a store takes to reach the APIC is not defined.</summary>
    private static void SendSelf(Assembler a, uint vector)
    {
        WriteApic(a, CommandLow, 0x4_4000 | vector);
        Label next = a.CreateLabel();
        a.jmp(next);
        a.Label(ref next);
    }

    private static IEnumerable<Scenario> Apic()
    {
        yield return ApicScenario("self-ipi", static a =>
        {
            a.sti();
            SendSelf(a, 0x31);
            a.nop();
            NoteApic(a, InService + 0x10);
        });
        yield return ApicScenario("two-pending-taken-by-priority", static a =>
        {
            SendSelf(a, 0x31);
            SendSelf(a, 0x51);
            SendSelf(a, 0x41);
            NoteApic(a, Requests + 0x10);
            NoteApic(a, Requests + 0x20);
            a.sti();
            a.nop();
            a.nop();
        });
        yield return ApicScenario("same-vector-twice", static a =>
        {
            SendSelf(a, 0x31);
            SendSelf(a, 0x31);
            a.sti();
            a.nop();
            a.nop();
        });
        foreach (uint priority in (uint[])[0x00, 0x30, 0x40, 0x50, 0xf0])
        {
            yield return ApicScenario($"priority-{priority:x}", a =>
            {
                a.sti();
                WriteApic(a, TaskPriority, priority);
                SendSelf(a, 0x41);
                a.nop();
                NoteApic(a, ProcessorPriority);
                a.mov(rax, cr8);
                Note(a);
                NoteApic(a, Requests + 0x20);
                a.xor(eax, eax);
                a.mov(cr8, rax);
                a.nop();
                NoteApic(a, TaskPriority);
            });
        }

        yield return ApicScenario("no-eoi-blocks-lower", static a =>
        {
            a.sti();
            SendSelf(a, 0x61);
            a.nop();
            NoteApic(a, ProcessorPriority);
        }).Handler(0x61, 6, static a =>
        {
            a.sti();
            SendSelf(a, 0x51);
            SendSelf(a, 0x71);
            a.nop();
            a.nop();
            NoteApic(a, Requests + 0x20);
            WriteApic(a, Eoi, 0);
            a.nop();
            a.iretq();
        });
        yield return ApicScenario("shadow-of-sti", static a =>
        {
            SendSelf(a, 0x31);
            a.sti();
            a.mov(ebx, 1);
            a.mov(ebx, 2);
        }).Handler(0x31, 6, static a =>
        {
            a.mov(eax, ebx);
            Note(a);
            WriteApic(a, Eoi, 0);
            a.iretq();
        });
        yield return ApicScenario("shadow-of-mov-ss", static a =>
        {
            a.mov(eax, 0x10);
            SendSelf(a, 0x31);
            a.sti();
            a.mov(ss, eax);
            a.mov(ebx, 1);
            a.mov(ebx, 2);
        }).Handler(0x31, 6, static a =>
        {
            a.mov(eax, ebx);
            Note(a);
            WriteApic(a, Eoi, 0);
            a.iretq();
        }).Ignore("rax", "as below").Ignore("rbx", "how long two shadows in a row last is the processor's choice (SDM vol. 2, MOV)")
            .Ignore("end", "as above");
        yield return ApicScenario("software-disabled", static a =>
        {
            a.sti();
            WriteApic(a, SpuriousVector, 0xff);
            SendSelf(a, 0x31);
            a.nop();
            NoteApic(a, Requests + 0x10);
            WriteApic(a, TimerEntry, 0x31);
            NoteApic(a, TimerEntry);
            WriteApic(a, SpuriousVector, 0x1ff);
            a.nop();
            NoteApic(a, TimerEntry);
        });
        yield return ApicScenario("illegal-vector", static a =>
        {
            a.sti();
            SendSelf(a, 0x05);
            a.nop();
            WriteApic(a, Errors, 0);
            NoteApic(a, Errors);
        }).Ignore("apic200", "KVM posts vectors that do not exist (SDM vol. 3 §11.5.2)");
        yield return ApicScenario("registers", static a =>
        {
            foreach (uint register in (uint[])[TaskPriority, 0xd0, 0xe0, SpuriousVector, CommandHigh, TimerEntry, 0x330, 0x340, 0x350, 0x360, 0x370, Divide])
            {
                // Not the delivery status and remote IRR, which KVM takes, nor priorities' lower half, which it loses.
                WriteApic(a, register, register == TaskPriority ? 0xf0u : 0xffff_afffu);
                NoteApic(a, register);
            }
        }).Ignore("apic380", "the timer runs");
        yield return ApicScenario("one-shot", static a =>
        {
            a.sti();
            WriteApic(a, Divide, 0xb);
            WriteApic(a, TimerEntry, 0x31);
            WriteApic(a, InitialCount, 100_000);
            WaitFor(a, 3_000_000);
            NoteApic(a, 0x390);
            NoteApic(a, InitialCount);
        });
        yield return ApicScenario("one-shot-masked", static a =>
        {
            a.sti();
            WriteApic(a, Divide, 0xb);
            WriteApic(a, TimerEntry, 0x1_0031);
            WriteApic(a, InitialCount, 1000);
            WaitFor(a, 100_000);
            NoteApic(a, 0x390);
            WriteApic(a, TimerEntry, 0x31);
            WaitFor(a, 100_000);
        }).Says("end=00000000,done", "SDM vol. 3 §11.5.4: a masked timer's interrupt is not kept, which KVM does");
        yield return ApicScenario("one-shot-halted", static a =>
        {
            WriteApic(a, Divide, 0xb);
            WriteApic(a, TimerEntry, 0x31);
            WriteApic(a, InitialCount, 200_000);
            a.sti();
            a.hlt();
            a.nop();
        });
        yield return ApicScenario("periodic", static a =>
        {
            a.xor(ebx, ebx);
            WriteApic(a, Divide, 0xb);
            WriteApic(a, TimerEntry, 0x2_0031);
            WriteApic(a, InitialCount, 500_000);
            a.sti();
            Label again = a.CreateLabel();
            a.Label(ref again);
            a.hlt();
            a.cmp(ebx, 5);
            a.jb(again);
            a.cli();
            WriteApic(a, InitialCount, 0);
            NoteApic(a, 0x390);
        }).Handler(0x31, 6, static a =>
        {
            a.inc(ebx);
            WriteApic(a, Eoi, 0);
            a.iretq();
        }).Ignore("apic210", "the next one may be there already").Ignore("rflags", "by then").Ignore("rbx", "or come");
        yield return ApicScenario("deadline", static a =>
        {
            WriteApic(a, TimerEntry, 0x4_0031);
            a.mfence();
            a.mov(ecx, 0x6e0);
            a.rdtsc();
            a.add(eax, 2_000_000);
            a.adc(edx, 0);
            a.wrmsr();
            a.sti();
            a.hlt();
            a.mov(ecx, 0x6e0);
            a.rdmsr();
            Note(a);
            a.xor(eax, eax);
            a.xor(edx, edx);
        });
        yield return ApicScenario("deadline-in-another-mode", static a =>
        {
            WriteApic(a, TimerEntry, 0x31);
            a.mov(ecx, 0x6e0);
            a.mov(eax, 1);
            a.xor(edx, edx);
            a.wrmsr();
            a.rdmsr();
            Note(a);
            a.sti();
            WaitFor(a, 1000);
        });
        yield return ApicScenario("x2apic", static a =>
        {
            a.mov(ecx, 0x1b);
            a.rdmsr();
            a.or(eax, 0x400);
            a.wrmsr();
            foreach (uint msr in (uint[])[0x802, 0x808, 0x80a, 0x80d, 0x80f, 0x828, 0x830, 0x832, 0x837, 0x838, 0x83e])
            {
                a.mov(ecx, msr);
                a.rdmsr();
                Note(a);
            }

            a.sti();
            a.mov(ecx, 0x83f);
            a.mov(eax, 0x31);
            a.xor(edx, edx);
            a.wrmsr();
            a.nop();
        }).Handler(0x31, 6, static a =>
        {
            a.mov(ecx, 0x811);
            a.rdmsr();
            Note(a);
            a.mov(ecx, 0x80b);
            a.xor(eax, eax);
            a.wrmsr();
            a.iretq();
        }).Ignore("rdx", "KVM gives the whole ICR");
        foreach (uint msr in (uint[])[0x800, 0x801, 0x802, 0x803, 0x808, 0x809, 0x80a, 0x80b, 0x80d, 0x80e, 0x80f, 0x810, 0x828, 0x82f, 0x830, 0x831, 0x832, 0x837, 0x838, 0x839,
            0x83e, 0x83f, 0x840, 0x8ff])
        {
            foreach (bool write in (bool[])[false, true])
            {
                yield return ApicScenario($"x2apic-{msr:x}-{(write ? "write" : "read")}", a =>
                {
                    a.mov(ecx, msr);
                    a.mov(eax, write && msr == 0x80b ? 1 : 0);
                    a.xor(edx, edx);
                    if (write)
                    {
                        a.wrmsr();
                    }
                    else
                    {
                        a.rdmsr();
                    }
                }).Set(static s =>
                {
                    s.System = s.System with { ApicBase = 0xfee0_0d00 };
                    s.Apic[0x20] = 0;
                    s.Apic[0xd0] = 1;
                    s.Apic[0xe0] = 0xffff_ffff;
                }).Ignore("apice0", "not a register of this mode").Ignore("apic200", "KVM posts vector 0").Set(x =>
                    {
                        if (msr == 0x803)
                        {
                            x.Ignore("rax", "abilities are the host's");
                        }
                        else if (write && msr == 0x80b)
                        {
                            x.Says("end=vector13", "SDM vol. 3 table 11-6: #GP unless 0 is written");
                        }
                    });
            }
        }
    }
}
