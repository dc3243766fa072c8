using System.Globalization;
using Xunit.Abstractions;

namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>
/// The software processor against the real one: the same random instructions on the same registers and memory must leave the
/// same state. CNVM_SOFT_CASES says how many, CNVM_SOFT_SEED where to start.
/// </summary>
[Collection("arena")]
public sealed class DifferentialTests(ITestOutputHelper output)
{
    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out int v) ? v : otherwise;

    [Fact]
    public void Random_sequences_end_in_the_same_state()
    {
        using NativeProcessor native = new();
        using SoftProcessor soft = new();
        int cases = Setting("CNVM_SOFT_CASES", 3000);
        int seed = Setting("CNVM_SOFT_SEED", 1);
        List<string> failures = [];
        int failed = 0;
        for (int i = 0; i < cases; i++)
        {
            InstructionGenerator generator = new(seed + i);
            byte[] code = generator.Sequence(1 + (i % 4), out ulong undefined, out string text);
            string? difference = Compare(native, soft, generator, code, undefined);
            if (difference is not null)
            {
                failed++;
                if (failures.Count < Setting("CNVM_SOFT_SHOW", 20))
                {
                    failures.Add($"seed {seed + i}: {text} [{Convert.ToHexString(code)}]\n{difference}");
                }
            }
        }

        output.WriteLine($"{cases} cases of {InstructionGenerator.CodeCount} instruction forms, {failed} differ");
        Assert.True(failed == 0, $"{failed} of {cases} differ\n" + string.Join("\n", failures));
    }

    private static string? Compare(NativeProcessor native, SoftProcessor soft, InstructionGenerator generator, byte[] code, ulong undefined)
    {
        _ = native;
        byte[] data = new byte[NativeProcessor.DataSize];
        generator.FillData(data);
        ProcessorState start = generator.State();

        data.CopyTo(NativeProcessor.Data);
        NativeProcessor.SetCode(code, NativeProcessor.JumpBack(code.Length));
        ProcessorState expected = start.Copy();
        NativeProcessor.Run(expected);
        byte[] expectedData = NativeProcessor.Data.ToArray();

        data.CopyTo(NativeProcessor.Data);
        NativeProcessor.SetCode(code, SoftProcessor.Tail);
        ProcessorState actual = start.Copy();
        VcpuStop stop = soft.Run(actual);
        if (stop.Reason != VcpuStopReason.Kicked)
        {
            return $"stopped: {stop.Reason}";
        }

        string difference = expected.Differences(actual, undefined);
        if (!expectedData.AsSpan().SequenceEqual(NativeProcessor.Data))
        {
            int at = expectedData.AsSpan().CommonPrefixLength(NativeProcessor.Data);
            difference += $"\nmemory at {at - 0x800:x}: native {expectedData[at]:x2} soft {NativeProcessor.Data[at]:x2}";
        }

        return difference.Length == 0 ? null : difference;
    }
}
