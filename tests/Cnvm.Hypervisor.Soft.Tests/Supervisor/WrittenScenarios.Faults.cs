using Cnvm.Arch.Registers;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>NMIs and double faults.</summary>
internal static partial class WrittenScenarios
{
    private static IEnumerable<Scenario> NonMaskable()
    {
        yield return new Scenario("nmi-taken") { Nmi = true }.Assemble(static a => a.nop());
        yield return new Scenario("nmi-blocks-nmi") { Nmi = true }
            .Handler(2, 0, static a =>
            {
                a.mov(eax, 0xfee0);
                Note(a);
                // An NMI to itself stays pending until IRET.
                a.mov(__dword_ptr[s_apic + (int)CommandLow], 0x4_4400);
                a.mov(eax, 0xbeef);
                Note(a);
                a.inc(ebx);
                a.cmp(ebx, 3);
                Label end = a.CreateLabel();
                a.jae(end);
                a.iretq();
                a.Label(ref end);
                a.@out(Layout.EndPort, al);
            })
            .Assemble(static a =>
            {
                WaitFor(a, 100);
                a.nop();
            }).Set(static s =>
            {
                s.Registers[15] = Layout.XApic;
                s.Apic[(int)SpuriousVector] = SoftwareEnable | 0xff;
            });
        yield return new Scenario("nmi-fault-in-handler-unblocks-at-its-iret") { Nmi = true }
            .Handler(2, 0, static a =>
            {
                a.inc(ebx);
                a.mov(__dword_ptr[s_apic + (int)CommandLow], 0x4_4400);
                a.mov(eax, ebx);
                Note(a);
                a.cmp(ebx, 2);
                Label end = a.CreateLabel();
                a.jae(end);
                a.ud2();
                a.Label(ref end);
                a.@out(Layout.EndPort, al);
            })
            .Handler(6, 1, static a =>
            {
                a.mov(eax, 0x666);
                Note(a);
                a.add(__qword_ptr[rsp], 2);
                a.iretq();
            })
            .Assemble(static a => WaitFor(a, 100)).Set(static s =>
            {
                s.Registers[15] = Layout.XApic;
                s.Apic[(int)SpuriousVector] = SoftwareEnable | 0xff;
            });
        yield return new Scenario("nmi-masked-by-mov-ss") { Nmi = true }.Assemble(static a =>
        {
            a.mov(eax, 0x10);
            a.mov(ss, eax);
            a.nop();
        }).Ignore("end", "it comes before the first instruction");
    }

    private static IEnumerable<Scenario> DoubleFaults()
    {
        // The gate of the first exception cannot be used; what it meets decides (APM vol. 2 §8.2.9).
        (string Name, int Vector, string Code)[] first = [("de", 0, "31C9F7F1"), ("ud", 6, "0F0B"), ("gp", 13, "B8000000808ED8"), ("pf", 14, "0FB6042500004000"), ("bp", 3, "CC"), ("ss", 12, "48BC0000000000800000" + "50")];
        (string Name, Action<Scenario, int> Break)[] second =
        [
            ("absent", static (s, v) => s.Gate(v, Layout.Handlers, Layout.Code64, 0x0e)),
            ("type", static (s, v) => s.Gate(v, Layout.Handlers, Layout.Code64, 0x8c)),
            ("selector", static (s, v) => s.Gate(v, Layout.Handlers, 0xf8, 0x8e)),
            ("null", static (s, v) => s.Gate(v, Layout.Handlers, 0, 0x8e)),
            ("stack", static (s, v) => s.Gate(v, Layout.Handlers + ((ulong)v * 16), Layout.Code64, 0x8e, 1).Put(Layout.Tss64 + 0x24, 0x40_0000)),
            ("stack-not-canonical", static (s, v) => s.Gate(v, Layout.Handlers + ((ulong)v * 16), Layout.Code64, 0x8e, 1).Put(Layout.Tss64 + 0x24, 0x8000_0000_0000)),
            ("page", static (s, v) =>
            {
                // The whole table lies on a page that is absent but for what lies on the next.
                s.System = s.System with { Idt = new DescriptorTable(0x40_0000 - 0x100, 0xfff) };
            }),
        ];
        foreach ((string name, int vector, string code) in first)
        {
            foreach ((string how, Action<Scenario, int> spoil) in second)
            {
                foreach (bool also in (bool[])[false, true])
                {
                    Scenario s = new($"double-{name}-{how}{(also ? "-triple" : "")}");
                    spoil(s, vector);
                    if (also && how != "page")
                    {
                        foreach (int v in (int[])[8, 10, 11, 12, 13, 14])
                        {
                            s.Gate(v, 0, Layout.Code64, 0x0e);
                        }
                    }

                    yield return s.Code(code);
                }
            }
        }
    }
}
