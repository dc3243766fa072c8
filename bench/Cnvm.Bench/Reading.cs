namespace Cnvm.Bench;

/// <summary>What one side of a figure came to: samples, or why there are none.</summary>
internal sealed record Reading
{
    private Reading(string side, IReadOnlyList<double> samples, string? reason, bool failed)
    {
        Side = side;
        Samples = samples;
        Reason = reason;
        Failed = failed;
    }

    /// <summary>The program, or the budget, that was measured.</summary>
    public string Side { get; }

    /// <summary>Every repetition, in order; empty when it was not measured.</summary>
    public IReadOnlyList<double> Samples { get; }

    /// <summary>Why there are no samples, or what went wrong beside the good ones.</summary>
    public string? Reason { get; }

    /// <summary>True when there are no samples although it should have worked; false when it cannot be measured here.</summary>
    public bool Failed { get; }

    /// <summary>The median of the samples, or null.</summary>
    public double? Value
    {
        get
        {
            double[] sorted = [.. Samples.Order()];
            int half = sorted.Length / 2;
            return sorted.Length == 0 ? null : sorted.Length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
        }
    }

    /// <param name="failure">A run that failed among the good ones, or null.</param>
    public static Reading Of(string side, IReadOnlyList<double> samples, string? failure) => new(side, samples, failure, samples.Count == 0);

    public static Reading SkippedFor(string side, string reason) => new(side, [], reason, false);

    public static Reading FailedFor(string side, string reason) => new(side, [], reason, true);
}
