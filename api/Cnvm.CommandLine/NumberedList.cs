namespace Cnvm.CommandLine;

/// <summary>One of <c>[0@[1,2],1@[3]]</c>.</summary>
internal sealed record NumberedList(uint Left, IReadOnlyList<uint> Right);
