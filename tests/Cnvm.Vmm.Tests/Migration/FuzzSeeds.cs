using System.Globalization;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>
/// Seeds of randomised tests: the same few every time. With CNVM_FUZZ_SECONDS, or CNVM_SOAK=1 (for CNVM_SOAK_SECONDS, or 20 minutes), as many as go in
/// that time.
/// </summary>
internal static class FuzzSeeds
{
    private const int SoakSeconds = 1200;

    /// <summary>Runs a case for each seed; a failure names its seed. Returns how many there were.</summary>
    public static int Run(int usual, Action<int> run)
    {
        int seconds = Number("CNVM_FUZZ_SECONDS")
            ?? (Environment.GetEnvironmentVariable("CNVM_SOAK") == "1" ? Number("CNVM_SOAK_SECONDS") ?? SoakSeconds : 0);
        long end = Environment.TickCount64 + (seconds * 1000L);
        int first = Number("CNVM_FUZZ_SEED") ?? 1;
        int seed = first;
        for (; seed < first + usual || Environment.TickCount64 < end; seed++)
        {
            try
            {
                run(seed);
            }
            catch (Exception e)
            {
                throw new Xunit.Sdk.XunitException($"seed {seed}: {e}");
            }
        }

        return seed - first;
    }

    private static int? Number(string name) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;
}
