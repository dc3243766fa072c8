namespace Cnvm.CommandLine;

/// <summary>One of <c>[name@[1,2],other@[3]]</c>.</summary>
internal sealed record NamedList(string Left, IReadOnlyList<uint> Right);
