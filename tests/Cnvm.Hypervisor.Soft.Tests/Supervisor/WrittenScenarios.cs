namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>Scenarios written by hand.</summary>
internal static partial class WrittenScenarios
{
    public static IEnumerable<Scenario> All() => [.. Privileged(), .. LargePages(), .. Apic(), .. NonMaskable(), .. DoubleFaults(), .. Debugging()];

    /// <summary>Page tables that the generated scenarios leave out.</summary>
    private static IEnumerable<Scenario> LargePages()
    {
        // PSE-36: the page lies at 4 GiB, where nothing is (APM vol. 2 §5.2.2).
        yield return new Scenario("pse36", ScenarioMode.Paged).Put32(Layout.LegacyDirectory + 0x400, 0x20e7)
            .Set(static s => s.Registers[7] = Layout.TestLegacy).Code("8B07");
        yield return new Scenario("pse36-reserved", ScenarioMode.Paged).Put32(Layout.LegacyDirectory + 0x400, 0x20_00e7)
            .Set(static s => s.Registers[7] = Layout.TestLegacy).Code("8B07");
    }

    /// <summary>Where the other processor, which is QEMU's, or KVM's emulator is known to be wrong, or time passes.</summary>
    private static Scenario Judge(Scenario s, string code) => code switch
    {
        "0F31" or "0F01F9" => s.Ignore("rax", "time passes").Ignore("rdx", "time passes"),
        "0F34" or "660F34" or "0F35" when s.IsWide =>
            s.Says("end=vector6", "APM vol. 3, SYSENTER and SYSEXIT: not recognized in long mode, #UD"),
        "F1" => s.IsUser ? s.Says("end=vector13", "APM vol. 3, INT1: the gate's DPL counts") : s.Says("end=vector1", "APM vol. 3, INT1"),
        "0F01D1" when s.IsUser => s.Says("end=vector6", "APM vol. 3, XSETBV: #UD without CR4.OSXSAVE"),
        "0F20C8" or "0F20E8" or "0F22C8" or "0F22E8" => s.Says("end=vector6", "APM vol. 3, MOV CRn: #UD for registers that do not exist"),
        "0F01D8" => s.Says("end=vector6", "APM vol. 3, VMRUN: #UD without EFER.SVME"),
        "0F01C1" => s.Ignore("m12000", "KVM writes the vendor's own instruction in its place").Ignore("m13000", "as above")
            .Ignore("m9090", "as above").Ignore("m9098", "as above").Ignore("mc090", "as above").Ignore("mc098", "as above"),
        "37" => s.Ignore("rflags", "APM vol. 3, AAA: all but AF and CF are undefined"),
        _ => s,
    };

    /// <summary>Every privileged or mode-dependent instruction in every mode.</summary>
    private static IEnumerable<Scenario> Privileged()
    {
        string[] codes =
        [
            "F4", "FA", "FB", "0F06", "0F08", "0F09", "0F01D0", "0F01D1", "0F01F8", "0F01F9", "0F0138", "0F0100", "0F0110", "0F0108", "0F0118",
            "0F00C8", "0F00C0", "0F01E0", "0F01F0", "0F05", "0F07", "0F34", "0F35", "0F32", "0F30", "0F33", "0F31", "0F20C0", "0F20C8", "0F20D0",
            "0F20D8", "0F20E0", "0F20E8", "0F22C8", "0F22E8", "0F21C0", "0F21E0", "0F21F0", "0F01CA", "0F01CB", "0F01C1", "0F01D8", "0F01D9",
            "0F0B", "0FB9C0", "0FFFC0", "CC", "CD20", "F1", "CE", "EA00000000", "9A00000000", "D6", "37", "27", "60", "61", "6200", "C400", "C500",
            "06", "1E", "0E", "16", "0FA0", "0FA8", "63C0", "E490", "E6F1", "EC", "EE", "6C", "6E", "9D", "9C", "CF", "CB", "0FAEF0", "F30FAEC0",
            "0F01EE", "0F01EF", "0FC733", "0F78C0", "0F3800C0", "F00F0B", "F090", "660F05", "F30F05", "660F34", "0FAA", "0F0D00", "82C000",
            "D4 0A", "D5 0A", "9B", "DBE3", "D9C0", "0F77", "0F28C0", "C5F877", "C5FC28C0", "0FAE00", "0FAE20", "0F C7 20",
        ];
        foreach (ScenarioMode mode in Enum.GetValues<ScenarioMode>())
        {
            if (mode is ScenarioMode.Real or ScenarioMode.Paged or ScenarioMode.PagedUser or ScenarioMode.Protected)
            {
                continue;
            }

            foreach (string code in codes)
            {
                string bytes = code.Replace(" ", "", StringComparison.Ordinal);
                Scenario s = new($"privileged-{mode}-{bytes}", mode);
                ulong data = s.IsUser ? Layout.UserData : Layout.KernelData;
                s.Registers[0] = data;
                s.Registers[2] = Layout.NotePort;
                s.Registers[4] -= 0x100;
                s.Registers[6] = s.Registers[7] = data;
                s.Flags |= s.IsUser ? 0x3000ul : 0;
                s.Registers[3] = data;
                s.Put(data, 0x1234);
                yield return Judge(s.Code(bytes), bytes);
            }
        }
    }
}
