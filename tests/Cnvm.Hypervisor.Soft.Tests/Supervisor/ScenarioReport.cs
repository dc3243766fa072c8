using System.Globalization;
using System.Text;
using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>A scenario in words, for whoever has to find out why two processors do not agree.</summary>
internal static class ScenarioReport
{
    public static string Text(Scenario s)
    {
        StringBuilder b = new();
        b.Append(CultureInfo.InvariantCulture, $"{s.Name} ({s.Mode}) cr0 {s.System.Cr0:x} cr4 {s.System.Cr4:x} efer {s.System.Efer:x} rflags {s.Flags:x} :");
        Iced.Intel.Decoder decoder = Iced.Intel.Decoder.Create(s.Bits, s.Ram.AsSpan((int)s.CodeAddress, 48).ToArray(), s.CodeAddress);
        for (int i = 0; i < 4; i++)
        {
            Instruction instruction = decoder.Decode();
            if (instruction.Mnemonic == Mnemonic.Out)
            {
                break;
            }

            b.Append(CultureInfo.InvariantCulture, $" {instruction};");
        }

        b.Append(" r");
        for (int i = 0; i < 8; i++)
        {
            b.Append(CultureInfo.InvariantCulture, $" {s.Registers[i]:x}");
        }

        for (int at = 0; at < s.Ram.Length; at += 8)
        {
            ulong now = BitConverter.ToUInt64(s.Ram, at);
            if (now != BitConverter.ToUInt64(Layout.Base, at) && at is < (int)Layout.Frames or >= (int)Layout.Idt32
                && at / 0x1000 is not ((int)Layout.KernelCode / 0x1000 or (int)Layout.UserCode / 0x1000 or (int)Layout.MoreCode / 0x1000))
            {
                b.Append(CultureInfo.InvariantCulture, $" [{at:x}]={now:x}");
            }
        }

        return b.ToString();
    }
}
