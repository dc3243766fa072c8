using Cnvm.Fuzz;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Seeds of randomised tests of migration, which CNVM_SOAK=1 makes go on as well.</summary>
internal static class FuzzSeeds
{
    private const int SoakSeconds = 1200;

    /// <inheritdoc cref="SeededRuns.Repeat"/>
    public static int Run(int usual, Action<int> run) => SeededRuns.Repeat(usual, run, SoakSeconds);
}
