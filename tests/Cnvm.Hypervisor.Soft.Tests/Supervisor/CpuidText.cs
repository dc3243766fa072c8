using System.Globalization;
using Cnvm.Arch.Cpuid;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>A CPUID table as one line.</summary>
internal static class CpuidText
{
    public static string Write(CpuidTable table) => "cpuid " + string.Join(' ', table.Select(static e => string.Create(
        CultureInfo.InvariantCulture,
        $"{e.Leaf:x}:{(e.HasSubleaf ? e.Subleaf.ToString("x", CultureInfo.InvariantCulture) : "")}:{e.Eax:x}:{e.Ebx:x}:{e.Ecx:x}:{e.Edx:x}")));

    public static CpuidTable Read(string line) => new(line.Split(' ').Skip(1).Select(static part =>
    {
        string[] words = part.Split(':');
        return new CpuidEntry
        {
            Leaf = Hex(words[0]), HasSubleaf = words[1].Length != 0, Subleaf = words[1].Length == 0 ? 0 : Hex(words[1]),
            Eax = Hex(words[2]), Ebx = Hex(words[3]), Ecx = Hex(words[4]), Edx = Hex(words[5]),
        };
    }));

    private static uint Hex(string text) => uint.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
