using System.Globalization;

namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>
/// CMPS with operands in absent, supervisor's, non-canonical and good pages: which fault is told of when both operands fault is the
/// processor's choice. CNVM_SOFT_RECORD names a file that gets a vector for each divergence.
/// </summary>
public sealed unsafe class CompareStringTests
{
    /// <summary>Where pages of different rights meet (see <see cref="GuestLayout"/>), and the end of the canonical addresses.</summary>
    private static readonly ulong[] s_seams = [0x2_1000, 0x2_2000, 0x2_4000, 0x2_5000, 0x2_6000, 0x8000_0000_0000];

    [SkippableTheory]
    [InlineData("A6", 1)]
    [InlineData("66A7", 2)]
    [InlineData("A7", 4)]
    [InlineData("48A7", 8)]
    [InlineData("F2A6", 1)]
    [InlineData("F266A7", 2)]
    [InlineData("F2A7", 4)]
    [InlineData("F248A7", 8)]
    [InlineData("F3A6", 1)]
    [InlineData("67F3A6", 1)]
    [InlineData("64F3A6", 1)]
    [InlineData("F366A7", 2)]
    [InlineData("F3A7", 4)]
    [InlineData("F348A7", 8)]
    public void The_fault_is_that_of_the_operand_which_the_processor_names(string code, int size)
    {
        Skip.IfNot(KvmProcessor.IsAvailable(), "no /dev/kvm to compare with");
        using KvmProcessor native = new();
        using SoftProcessor soft = new();
        byte[] bytes = Convert.FromHexString(code);
        ulong[] counts = code.Contains('F') ? [1, 70] : [1];
        List<string> failures = [];
        int twofold = 0;
        foreach (ulong from in Places(size))
        {
            foreach (ulong to in Places(size))
            {
                foreach (ulong count in counts)
                {
                    for (ulong flags = 0; flags <= 0x400; flags += 0x400)
                    {
                        TestCase test = Case(bytes, from, to, count, flags);
                        CpuImage end = Run(native, test);
                        twofold += end.Vector >= 0 && IsBad(from) && IsBad(to) ? 1 : 0;
                        string difference = end.Differences(Run(soft, test), 0);
                        if (difference.Length != 0)
                        {
                            failures.Add(string.Create(
                                CultureInfo.InvariantCulture, $"{code} rsi {from:x} rdi {to:x} rcx {count} flags {flags:x}: {difference}"));
                            Record(test, end, GuestLayout.Data(native.Ram));
                        }
                    }
                }
            }
        }

        Assert.True(twofold > 100, $"only {twofold} cases fault twice");
        Assert.True(failures.Count == 0, $"{failures.Count}\n" + string.Join("\n", failures.Take(20)));
    }

    private static IEnumerable<ulong> Places(int size)
    {
        foreach (ulong seam in s_seams)
        {
            foreach (int back in (int[])[0, 1, size - 1, size, 2 * size, 0x800])
            {
                yield return seam - (uint)back;
            }
        }
    }

    private static bool IsBad(ulong address) => address >> 12 is 0x20 or 0x24 or 0x25 or 0x8_0000_0000;

    private static TestCase Case(byte[] code, ulong from, ulong to, ulong count, ulong flags)
    {
        CpuImage start = new() { Flags = flags };
        BitConverter.TryWriteBytes(start.Xsave.AsSpan(24), 0x1f80);
        start.General[1] = count;
        start.General[6] = from;
        start.General[7] = to;
        return new TestCase
        {
            Seed = 0,
            Code = code,
            Instructions = [],
            Start = start,
            Memory = new byte[GuestLayout.DataSize],
            UndefinedAtEnd = 0,
            UndefinedAnywhere = 0,
        };
    }

    private static CpuImage Run(KvmProcessor native, TestCase test)
    {
        CpuImage end = test.Start.Copy();
        GuestLayout.Data(native.Ram).Clear();
        GuestLayout.SetCode(native.Ram, test.Code);
        native.Run(end);
        return end;
    }

    private static CpuImage Run(SoftProcessor soft, TestCase test)
    {
        CpuImage end = test.Start.Copy();
        GuestLayout.Data(soft.Ram).Clear();
        GuestLayout.SetCode(soft.Ram, test.Code);
        soft.Run(end);
        return end;
    }

    private static void Record(TestCase test, CpuImage end, ReadOnlySpan<byte> memory)
    {
        if (Environment.GetEnvironmentVariable("CNVM_SOFT_RECORD") is { } file)
        {
            File.AppendAllText(file, TestVector.Line(test, end, memory) + "\n");
        }
    }
}
