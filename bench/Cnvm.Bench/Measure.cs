namespace Cnvm.Bench;

/// <summary>One figure: a row of the table for every peer it has.</summary>
/// <param name="Name">Stable; what <c>--filter</c> matches.</param>
/// <param name="Unit">Unit of the values.</param>
/// <param name="Description">What is measured, for <c>--list</c>.</param>
/// <param name="HigherIsBetter">True for rates; false for times and sizes.</param>
internal sealed record Measure(string Name, string Unit, string Description, bool HigherIsBetter = false);
