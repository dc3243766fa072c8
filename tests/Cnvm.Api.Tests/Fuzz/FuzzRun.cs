using System.Diagnostics;
using System.Globalization;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Cnvm.Api.Tests.Fuzz;

/// <summary>
/// Repeats a randomised test. Without CNVM_FUZZ_SECONDS it runs the same few seeds every time; with it, that long with fresh ones.
/// A failure names its seed, which CNVM_FUZZ_SEED runs again.
/// </summary>
internal static class FuzzRun
{
    public const string Collection = "fuzz";

    public static void Repeat(ITestOutputHelper output, int seeds, Action<Random> test)
    {
        int? only = Number("CNVM_FUZZ_SEED");
        TimeSpan time = TimeSpan.FromSeconds(Number("CNVM_FUZZ_SECONDS") ?? 0);
        int first = time > TimeSpan.Zero ? (int)(Stopwatch.GetTimestamp() & 0x3fff_ffff) : 1;
        var clock = Stopwatch.StartNew();
        int runs = 0;
        for (int seed = only ?? first; runs < (only is null ? seeds : 1) || (only is null && clock.Elapsed < time); seed++)
        {
            try
            {
                test(new Random(seed));
            }
            catch (Exception e)
            {
                throw new XunitException($"seed {seed}, after {runs} runs: {e}");
            }

            runs++;
        }

        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{runs} runs from seed {only ?? first} in {clock.Elapsed.TotalSeconds:F0} s"));
    }

    private static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int n) ? n : null;
}
