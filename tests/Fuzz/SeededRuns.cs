using System.Diagnostics;
using System.Globalization;
using Xunit.Sdk;

namespace Cnvm.Fuzz;

/// <summary>
/// Repeats a randomised test: with a few seeds, the same ones every time, or for as long as CNVM_FUZZ_SECONDS says, from CNVM_FUZZ_SEED on, else from a
/// seed that differs from run to run. A failure names its seed; CNVM_FUZZ_SEED begins with it. Compiled into each test project that needs it.
/// </summary>
internal static class SeededRuns
{
    /// <summary>Seconds that were asked for; 0: none.</summary>
    /// <param name="soak">Seconds of the long form (CNVM_SOAK=1) unless CNVM_SOAK_SECONDS says something else; 0: it has none.</param>
    public static int Seconds(int soak = 0) => Number("CNVM_FUZZ_SECONDS")
        ?? (soak > 0 && Environment.GetEnvironmentVariable("CNVM_SOAK") == "1" ? Number("CNVM_SOAK_SECONDS") ?? soak : 0);

    /// <summary>The first seed.</summary>
    /// <param name="usual">It, where nobody asked for anything.</param>
    /// <inheritdoc cref="Seconds"/>
    public static int First(int usual, int soak = 0) =>
        Number("CNVM_FUZZ_SEED") ?? (Seconds(soak) > 0 ? (int)(Stopwatch.GetTimestamp() & 0x3fff_ffff) : usual);

    /// <summary>Runs a case for each seed, at least <paramref name="usual"/> of them; returns how many there were.</summary>
    /// <inheritdoc cref="Seconds"/>
    public static int Repeat(int usual, Action<int> test, int soak = 0)
    {
        ArgumentNullException.ThrowIfNull(test);
        var clock = Stopwatch.StartNew();
        int seconds = Seconds(soak);
        int first = First(1, soak);
        int runs = 0;
        for (; runs < usual || clock.Elapsed.TotalSeconds < seconds; runs++)
        {
            try
            {
                test(first + runs);
            }
            catch (Exception e)
            {
                throw Failure(first + runs, runs, e);
            }
        }

        return runs;
    }

    /// <inheritdoc cref="Repeat"/>
    public static async Task<int> RepeatAsync(int usual, Func<int, Task> test)
    {
        ArgumentNullException.ThrowIfNull(test);
        var clock = Stopwatch.StartNew();
        int seconds = Seconds();
        int first = First(1);
        int runs = 0;
        for (; runs < usual || clock.Elapsed.TotalSeconds < seconds; runs++)
        {
            try
            {
                await test(first + runs).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                throw Failure(first + runs, runs, e);
            }
        }

        return runs;
    }

    private static XunitException Failure(int seed, int runs, Exception e) =>
        new(string.Create(CultureInfo.InvariantCulture, $"seed {seed}, after {runs} runs: {e}"));

    private static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int n) ? n : null;
}
