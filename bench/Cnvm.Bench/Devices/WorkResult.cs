using System.Globalization;

namespace Cnvm.Bench.Devices;

/// <summary>What bench/peers/work.c says at its end.</summary>
internal sealed class WorkResult
{
    private readonly Dictionary<string, double> _values;

    private WorkResult(Dictionary<string, double> values) => _values = values;

    /// <summary>Operations in a second of the guest's clock.</summary>
    public double Rate => this["operations"] / Seconds;

    /// <summary>MiB in a second of the guest's clock.</summary>
    public double MiBPerSecond => this["bytes"] / (1 << 20) / Seconds;

    private double Seconds => this["nanoseconds"] / 1e9;

    /// <summary>A value by its name.</summary>
    public double this[string name] =>
        _values.TryGetValue(name, out double value) ? value : throw new MeasurementException($"the work did not say its {name}");

    /// <param name="text">Words such as <c>bytes=100</c>.</param>
    /// <exception cref="MeasurementException">It is something else.</exception>
    public static WorkResult Parse(string text)
    {
        var values = new Dictionary<string, double>();
        foreach (string word in text.Split((char[])[' ', '\r'], StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = word.Split('=');
            if (parts.Length != 2 || !double.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out double value) || value <= 0)
            {
                throw new MeasurementException($"the work ended with '{text.Trim()}'");
            }

            values[parts[0]] = value;
        }

        return new WorkResult(values);
    }

    /// <summary>Operations of one part of the work in a second.</summary>
    /// <param name="part">The name of its nanoseconds.</param>
    public double RateOf(string part) => this["operations"] * 1e9 / this[part];
}
