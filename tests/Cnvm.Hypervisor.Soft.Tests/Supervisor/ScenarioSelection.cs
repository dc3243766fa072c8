using System.Globalization;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>Which scenarios a run takes.</summary>
internal static class ScenarioSelection
{
    public static IEnumerable<Scenario> FromArguments(ReadOnlySpan<string> arguments)
    {
        int seed = int.Parse(arguments[0], CultureInfo.InvariantCulture);
        int count = int.Parse(arguments[1], CultureInfo.InvariantCulture);
        string? only = arguments.Length > 2 ? arguments[2] : null;
        return Of(seed, count, only);
    }

    public static IEnumerable<Scenario> Of(int seed, int count, string? only)
    {
        IEnumerable<Scenario> random = RandomScenarios.Make(seed, count, only);
        return only is null ? WrittenScenarios.All().Concat(random) : only == "written" ? WrittenScenarios.All() : random;
    }
}
