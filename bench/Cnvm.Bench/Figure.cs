namespace Cnvm.Bench;

/// <summary>A measure with what it came to for cnvm and for each peer.</summary>
internal sealed record Figure(Measure Measure, Reading Value, IReadOnlyList<Reading> Peers);
