namespace Cnvm.Api.Tests.Conformance;

/// <summary>An endpoint of the contract.</summary>
/// <param name="Body">Schema of the body; null for none.</param>
/// <param name="Answer">Schema of the answer; null for none.</param>
internal sealed record ContractRoute(string Version, string Method, string Name, string? Body, string? Answer, IReadOnlyList<int> Statuses);
