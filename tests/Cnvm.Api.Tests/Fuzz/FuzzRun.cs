using System.Diagnostics;
using System.Globalization;
using Cnvm.Fuzz;
using Xunit.Abstractions;

namespace Cnvm.Api.Tests.Fuzz;

/// <summary>Repeats a randomised test, and says how often.</summary>
internal static class FuzzRun
{
    public const string Collection = "fuzz";

    /// <inheritdoc cref="SeededRuns.Repeat"/>
    public static void Repeat(ITestOutputHelper output, int usual, Action<Random> test)
    {
        var clock = Stopwatch.StartNew();
        int runs = SeededRuns.Repeat(usual, seed => test(new Random(seed)));
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{runs} runs in {clock.Elapsed.TotalSeconds:F0} s"));
    }
}
