using System.Globalization;
using Xunit.Abstractions;

namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>
/// The software processor against the real one: the same random user code on the same state and memory must leave the same state
/// and memory, or stop at the same exception. CNVM_SOFT_CASES says how many, CNVM_SOFT_SEED where to start, CNVM_SOFT_SHOW
/// how many failures are told of, CNVM_SOFT_SUMMARY a file for the last line, CNVM_SOFT_RECORD a file that gets a vector for each failure.
/// CNVM_SOFT_CODES names a file of instruction bytes to take instead of random ones, all of which are recorded.
/// </summary>
public sealed unsafe class DifferentialTests(ITestOutputHelper output)
{
    private const int DefaultCases = 100_000;

    /// <summary>States that each piece of code is run from.</summary>
    private const int Variations = 8;
    private const int CodeVariations = 2;

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out int v) ? v : otherwise;

    [SkippableFact]
    public void Random_user_code_ends_in_the_same_state()
    {
        Skip.IfNot(KvmProcessor.IsAvailable(), "no /dev/kvm to compare with");
        using KvmProcessor native = new();
        using SoftProcessor soft = new();
        string? record = Environment.GetEnvironmentVariable("CNVM_SOFT_RECORD");
        string[] codes = Environment.GetEnvironmentVariable("CNVM_SOFT_CODES") is { } list ? File.ReadAllLines(list) : [];
        int variations = codes.Length != 0 ? CodeVariations : Variations;
        int cases = codes.Length != 0 ? codes.Length * CodeVariations : Setting("CNVM_SOFT_CASES", DefaultCases);
        int seed = Setting("CNVM_SOFT_SEED", 1);
        int show = Setting("CNVM_SOFT_SHOW", 20);
        List<string> failures = [];
        int failed = 0;
        int exceptions = 0;
        CaseGenerator? generator = null;
        TestCase? test = null;
        for (int i = 0; i < cases; i++)
        {
            if (i % variations == 0)
            {
                generator = new CaseGenerator(unchecked(seed + (i / variations)));
                test = codes.Length == 0 ? generator.Make() : generator.Make(Convert.FromHexString(codes[i / variations]));
            }
            else
            {
                test = generator!.Vary(test!);
            }

            string difference = Compare(native, soft, test, ref exceptions);
            if (record is not null && (difference.Length != 0 || codes.Length != 0))
            {
                Record(native, test, record);
            }

            if (difference.Length != 0)
            {
                failed++;
                if (failures.Count < show)
                {
                    failures.Add($"{test.Text}\n{difference}");
                }
            }
        }

        string summary = $"{cases} cases from seed {seed} to {seed + ((cases - 1) / variations)}, {CaseGenerator.CodeCount} instruction forms, {exceptions} ended in an exception, {failed} differ";
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

    private static void Record(KvmProcessor native, TestCase test, string file)
    {
        TestCase reduced = TestVector.Reduce(test);
        reduced.Memory.CopyTo(GuestLayout.Data(native.Ram));
        GuestLayout.SetCode(native.Ram, test.Code);
        CpuImage end = test.Start.Copy();
        native.Run(end);
        File.AppendAllText(file, TestVector.Line(reduced, end, GuestLayout.Data(native.Ram)) + "\n");
    }
}
