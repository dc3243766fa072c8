using System.Globalization;

namespace Cnvm.Bench;

/// <summary>The command line.</summary>
internal sealed record BenchOptions
{
    public const string Usage = """
        Cnvm.Bench [options]

        Measures cnvm and its peers side by side on this host. One line a figure and peer on standard output:
        name value unit peer peer-value ratio. Progress goes to standard error. Exit code 1: something that should work failed.

          --filter TEXT   only figures whose name contains TEXT; may be repeated
          --runs N        rounds of every figure instead of its own number
          --list          names and meanings, without measuring
          --json FILE     every sample too, as JSON
        """;

    public IReadOnlyList<string> Filters { get; private init; } = [];

    public int? Runs { get; private init; }

    public bool List { get; private init; }

    public string? JsonFile { get; private init; }

    /// <summary>Null: asked for help.</summary>
    /// <exception cref="FormatException">An argument is unknown or makes no sense.</exception>
    public static BenchOptions? Parse(string[] arguments)
    {
        var options = new BenchOptions();
        for (int i = 0; i < arguments.Length; i++)
        {
            string name = arguments[i];
            switch (name)
            {
                case "--help" or "-h":
                    return null;
                case "--list":
                    options = options with { List = true };
                    break;
                case "--filter":
                    options = options with { Filters = [.. options.Filters, Value()] };
                    break;
                case "--json":
                    options = options with { JsonFile = Value() };
                    break;
                case "--runs" when int.TryParse(Value(), NumberStyles.None, CultureInfo.InvariantCulture, out int runs) && runs is > 0 and <= 1000:
                    options = options with { Runs = runs };
                    break;
                case "--runs":
                    throw new FormatException("--runs takes a number from 1 to 1000");
                default:
                    throw new FormatException($"unknown argument {name}");
            }

            string Value() => ++i < arguments.Length ? arguments[i] : throw new FormatException($"{name} needs a value");
        }

        return options;
    }

    public bool Wants(Measure measure) => Filters.Count == 0 || Filters.Any(f => measure.Name.Contains(f, StringComparison.OrdinalIgnoreCase));
}
