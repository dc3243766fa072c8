using System.Globalization;
using Xunit.Abstractions;

namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>
/// The software processor against the real one: the same random user code on the same state and memory must leave the same state
/// and memory, or stop at the same exception. CNVM_SOFT_CASES says how many, CNVM_SOFT_SEED where to start, CNVM_SOFT_SHOW
/// how many failures are told of.
/// </summary>
public sealed unsafe class DifferentialTests(ITestOutputHelper output)
{
    private const int DefaultCases = 100_000;

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out int v) ? v : otherwise;

    [SkippableFact]
    public void Random_user_code_ends_in_the_same_state()
    {
        Skip.IfNot(KvmProcessor.IsAvailable(), "no /dev/kvm to compare with");
        using KvmProcessor native = new();
        using SoftProcessor soft = new();
        int cases = Setting("CNVM_SOFT_CASES", DefaultCases);
        int seed = Setting("CNVM_SOFT_SEED", 1);
        int show = Setting("CNVM_SOFT_SHOW", 20);
        List<string> failures = [];
        int failed = 0;
        int exceptions = 0;
        for (int i = 0; i < cases; i++)
        {
            TestCase test = CaseGenerator.Make(unchecked(seed + i));
            string difference = Compare(native, soft, test, ref exceptions);
            if (difference.Length != 0)
            {
                failed++;
                if (failures.Count < show)
                {
                    failures.Add($"seed {test.Seed}: {test.Text} [{Convert.ToHexString(test.Code)}]\n{difference}");
                }
            }
        }

        string summary = $"{cases} cases from seed {seed}, {CaseGenerator.CodeCount} instruction forms, {exceptions} ended in an exception, {failed} differ";
        output.WriteLine(summary);
        if (Environment.GetEnvironmentVariable("CNVM_SOFT_SUMMARY") is { } file)
        {
            File.AppendAllText(file, summary + "\n");
        }

        Assert.True(failed == 0, summary + "\n" + string.Join("\n", failures));
    }

    private static string Compare(KvmProcessor native, SoftProcessor soft, TestCase test, ref int exceptions)
    {
        test.Memory.CopyTo(GuestLayout.Data(native.Ram));
        GuestLayout.SetCode(native.Ram, test.Code);
        CpuImage expected = test.Start.Copy();
        native.Run(expected);
        exceptions += expected.Vector >= 0 ? 1 : 0;

        test.Memory.CopyTo(GuestLayout.Data(soft.Ram));
        GuestLayout.SetCode(soft.Ram, test.Code);
        CpuImage actual = test.Start.Copy();
        soft.Run(actual);

        string difference = expected.Differences(actual, test.Undefined(expected));
        Span<byte> mine = GuestLayout.Data(native.Ram);
        Span<byte> its = GuestLayout.Data(soft.Ram);
        if (!mine.SequenceEqual(its))
        {
            int at = mine.CommonPrefixLength(its);
            difference += $"memory at {at - 0x1000:x}: native {mine[at]:x2} soft {its[at]:x2}\n";
        }

        return difference;
    }
}
