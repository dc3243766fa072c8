namespace Cnvm.Api.Tests.Fuzz;

/// <summary>Runs with no other test beside it: descriptors of the process are counted and answers are timed.</summary>
[CollectionDefinition(FuzzRun.Collection, DisableParallelization = true)]
public sealed class FuzzCollection;
